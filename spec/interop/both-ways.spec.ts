import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Queue, Worker } from '../../lib/index.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { missing, Python, VERSIONS } from './python.ts';

describe.each(VERSIONS)('Python RQ %s and rq-node', version => {
  const why = missing(version);
  let redis: RedisServer;
  let python: Python;
  let q: Queue;

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    python = new Python(version, redis.port);
    q = new Queue('default', { connection: redis.url });
  });
  afterAll(async () => {
    await q?.close();
    await python?.close();
    await redis?.stop();
  });

  it('run each other’s jobs', async context => {
    if (why !== undefined) return context.skip(why);
    const theirs = await python.run<string>('out = queue().enqueue("add", 1, 2).id');
    await new Worker('default', {
      connection: redis.url,
      functions: { add: (x: number, y: number) => x + y },
    }).work({
      burst: true,
    });
    expect(await python.run('out = job(id).return_value()', { id: theirs })).toBe(3);

    const ours = await q.enqueue('tasks.add', [3, 4]);
    await python.run('work("default")');
    expect(await ours.result).toBe(7);
  });
});
