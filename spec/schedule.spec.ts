/** Jobs that wait for other jobs: as arguments, by `dependsOn`, in chains and groups. */
import { describe, expect, it } from 'vitest';
import { Queue } from '../lib/index.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { Worker } from '../lib/worker/worker.ts';

const redis = useRedis();
const q = useQueue(redis);

const add = (x: number, y: number): number => x + y;
const multiply = (x: number, y: number): number => x * y;
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const total = (of: { readonly total: number }): number => of.total;
const fail = (): number => {
  throw new TypeError('no');
};
const functions = { add, multiply, sum, total, fail };
const work = (): Promise<unknown> =>
  new Worker('default', { connection: redis.url, functions, concurrency: 10 }).work({ burst: true });
const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

describe('a job as an argument', () => {
  it('stands for its result', async () => {
    const first = await q.enqueue(add, [4, 6]);
    const last = await q.enqueue(multiply, [first, 10]);
    expect(last.status).toBe('deferred');
    expect((await hash(last.id))['data']).toBe(`["multiply",null,["\\u006aob:${first.id}",10],{}]`);
    expect(last.dependencyIds).toEqual([first.id]);
    expect(await q.deferredRegistry.getJobIds()).toEqual([last.id]);
    await work();
    expect(await last.result).toBe(100);
    expect(await q.deferredRegistry.count()).toBe(0);
    expect((await hash(last.id))['data']).toBe('["multiply",null,[10,10],{}]');
    expect(await redis.client.keys('*depend*')).toEqual([]);
  });

  it('stands nested, and for a job that has finished', async () => {
    const parts = await q.enqueueMany([
      [add, [1, 2]],
      [add, [3, 4]],
    ]);
    const all = await q.enqueue(sum, [[parts[0], 5, parts[1]]]);
    await work();
    expect(await all.result).toBe(15);
    const more = await q.enqueue(total, [{ total: all }]);
    expect(more.status).toBe('queued');
    await work();
    expect(await more.result).toBe(15);
  });

  it('is refused where it is gone', async () => {
    const gone = await q.enqueue(add, [1, 1], { resultTtl: 0 });
    await work();
    await expect(q.enqueue(multiply, [gone, 2])).rejects.toMatchObject({
      code: 'RQ_DEPENDENCY_FAILED',
      status: 'gone',
    });
  });

  it('names the root where it failed', async () => {
    const root = await q.enqueue(fail);
    const middle = await q.enqueue(add, [root, 1]);
    const last = await q.enqueue(add, [middle, 1]);
    await work();
    await expect(last.wait({ timeout: 5 })).rejects.toMatchObject({
      name: 'DependencyFailedError',
      dependencyId: root.id,
      status: 'failed',
      remote: { name: 'TypeError', message: 'no' },
    });
  });
});

describe('Queue.chain', () => {
  it('hands each result to the next step', async () => {
    const last = await q.chain([
      [add, [4, 6]],
      [multiply, [10]],
    ]);
    await work();
    expect(await last.result).toBe(100);
  });
});

describe('Queue.group', () => {
  it('waits for all, and stands for their results', async () => {
    const group = await q.group([
      [add, [1, 2]],
      [add, [3, 4]],
    ]);
    const all = await q.enqueue(sum, [group]);
    await work();
    expect(await group.wait({ timeout: 1 })).toEqual([3, 7]);
    expect(await all.result).toBe(10);
    expect(await redis.client.smembers('rq:groups')).toEqual([group.name]);
    expect((await q.fetchGroup(group.name))?.jobIds).toEqual(group.jobIds);
    expect((await group.counts()).finished).toBe(2);
  });
});

describe('Queue.enqueueIn', () => {
  it('queues a job when its time has come', async () => {
    const job = await q.enqueueIn('300ms', add, [1, 2]);
    expect(job.status).toBe('scheduled');
    const worker = new Worker('default', { connection: redis.url, functions });
    const working = worker.work();
    expect(await job.wait({ timeout: 5 })).toBe(3);
    await worker.stop();
    await working;
  });
});

describe('repeat', () => {
  it('runs again so often', async () => {
    const job = await q.enqueue(add, [1, 2], { repeat: { times: 2 } });
    const worker = new Worker('default', { connection: redis.url, functions });
    let runs = 0;
    worker.on('jobFinished', () => void runs++);
    await worker.work({ burst: true });
    expect(runs).toBe(3);
    expect(await job.result).toBe(3);
  });
});

describe('a Queue on another Redis', () => {
  it('refuses the job', async () => {
    await using other = new Queue('o', { connection: { port: redis.port, db: 3 } });
    const job = await other.enqueue(add, [1, 2]);
    await expect(q.enqueue(add, [job, 1])).rejects.toThrow('args[0] is a job of another Redis');
  });
});
