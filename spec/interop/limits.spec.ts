/** Python workers know of no limits: what they do on queues that have some, and that it costs no job. */
import { describe, expect, it } from 'vitest';
import { useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('A queue with limits, and Python RQ %s', version => {
  const { redis, python, q, work, workAs, worker } = useBoth(version);
  const soon = { timeout: 15_000, interval: 20 };
  const limit = { key: 'acme', concurrency: 1 };
  const put = (count: number) =>
    q.enqueueMany(Array.from({ length: count }, (_, i) => ['tasks.add', [i, 1], { limit }] as const));

  it('runs jobs with a limit, paused and rated or not, and keeps their fields', async () => {
    await q.pause();
    await q.setRateLimit('1/d');
    const jobs = await put(3);
    await workAs('Python');
    expect(await Promise.all(jobs.map(job => job.result))).toEqual([1, 2, 3]);
    for (const { id } of jobs)
      expect(await redis.client.hmget(`rq:job:${id}`, 'limit_key', 'limit_concurrency')).toEqual([
        'acme',
        '1',
      ]);
    expect(await redis.client.keys('rq:starts:*')).toEqual([]);
  });

  it('does not see a job that is parked by ours, which runs here all the same', async () => {
    let end: () => void = () => {};
    const held = new Promise<void>(resolve => (end = resolve));
    const functions = { 'tasks.add': () => held, 'tasks.echo': () => held };
    const [first] = await q.enqueueMany([['tasks.echo', [], { limit }]]);
    void worker(functions, { concurrency: 3 }, 'default').work();
    await expect.poll(() => first?.getStatus(), soon).toBe('started');
    const jobs = await put(3);
    await expect.poll(() => q.parkedRegistry.count(), soon).toBe(3);
    await workAs('Python');
    expect(await q.parkedRegistry.count()).toBe(3);
    end();
    await expect
      .poll(() => Promise.all(jobs.map(job => job.getStatus())), soon)
      .toEqual(Array(3).fill('finished'));
    expect(await redis.client.keys('rq:slots:*')).toEqual([]);
  });

  it('takes a parked job away by its own verbs, and the line goes on', async () => {
    await redis.client.sadd('rq:slots:acme', 'x:n1');
    const jobs = await put(4);
    await work();
    expect(await q.parkedRegistry.count()).toBe(4);
    await python.run('job(one).cancel(); job(two).delete()', { one: jobs[0]?.id, two: jobs[1]?.id });
    await redis.client.zadd('rq:parked', 0, 'acme');
    // two bursts: the first one's sweep frees the slot of a run that nobody knows
    void worker({ 'tasks.add': (x: number, y: number) => x + y }, {}, 'default').work();
    await expect.poll(() => jobs[3]?.getStatus(), soon).toBe('finished');
    expect(await jobs[0]?.getStatus()).toBe('canceled');
    expect(await jobs[2]?.result).toBe(3);
    await expect.poll(() => redis.client.keys('rq:parked*'), soon).toEqual([]);
    await expect.poll(() => q.parkedRegistry.count(), soon).toBe(0);
  });

  it('runs a job that came back to its queue; those behind it come after the next sweep', async () => {
    await redis.client.sadd('rq:slots:acme', 'x:n1');
    const jobs = await put(3);
    await work();
    await redis.client.zrem('rq:parked:acme', jobs[0]?.id ?? '');
    await redis.client.zrem('rq:aside:default', jobs[0]?.id ?? '');
    await redis.client.lpush('rq:queue:default', jobs[0]?.id ?? '');
    await workAs('Python');
    expect(await jobs[0]?.result).toBe(1);
    void worker({ 'tasks.add': (x: number, y: number) => x + y }, {}, 'default').work();
    await expect
      .poll(() => Promise.all(jobs.map(job => job.getStatus())), soon)
      .toEqual(Array(3).fill('finished'));
  });
});
