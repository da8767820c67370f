import { describe, expect, it } from 'vitest';
import { tickId } from '../../lib/cron.ts';
import { Looker, redisSeconds } from '../support/crons.ts';
import { useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('The jobs of crons, with Python RQ %s', version => {
  const { redis, python, q, workAs, ids } = useBoth(version);

  it('are run by a Python worker', async () => {
    await q.cron('@yearly', 'tasks.add', [1, 2], {
      meta: { a: 1 },
      ttl: '1h',
      retry: { max: 1, interval: 5 },
    });
    const tick = (await redisSeconds(redis.client)) - 1;
    await redis.client.zadd('rq:cron-ticks:default', tick, 'tasks.add');
    const looker = await new Looker(redis.client, ['default']).lookAll();
    const id = tickId('default', 'tasks.add', tick);
    expect(looker.ids).toEqual([id]);
    expect(id).toMatch(/^cron-tasks-add-/);
    expect(
      await python.run('j = job(id)\nout = [j.func_name, j.args, j.meta, j.ttl, j.retries_left, j.origin]', {
        id,
      }),
    ).toEqual(['tasks.add', [1, 2], { a: 1 }, 3600, 1, 'default']);
    await workAs('Python');
    expect(await ids('rq:finished:default')).toEqual([id]);
    expect(await python.run('out = job(id).return_value()', { id })).toBe(3);
    expect((await q.crons())[0]).toMatchObject({ lastJobId: id });
  });

  it('leave Python’s own view of the queue as it is', async () => {
    await q.cron('@yearly', 'tasks.add', [1, 2]);
    expect(await python.run('out = [q.name for q in Queue.all(connection=c)]')).toEqual([]);
    await python.run('queue("default").empty()');
    expect(await q.crons()).toHaveLength(1);
  });
});
