/** What requeue makes of a job that has ended: one that waits, and remembers its errors. */
import { describe, expect, it } from 'vitest';
import { InvalidJobOperationError, NoSuchJobError } from '../lib/errors.ts';
import type { Job } from '../lib/job.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import * as tasks from './support/tasks.js';

const RUN = `n${'0'.repeat(31)}`;

const redis = useRedis();
const q = useQueue(redis);

const hash = (): Promise<Record<string, string>> => redis.client.hgetall('rq:job:a');
const list = (): Promise<string[]> => redis.client.lrange('rq:queue:default', 0, -1);
const errors = async (): Promise<{ at: string; worker: string; error: string }[]> =>
  JSON.parse((await hash())['errors'] ?? '[]') as { at: string; worker: string; error: string }[];

/** A job that ended so, and stays for a while. */
async function ended(status: string, fields: Record<string, string | Buffer> = {}): Promise<Job> {
  const job = await q.enqueue('f', [1], { jobId: 'a' });
  await redis.client.del('rq:queue:default');
  await redis.client.hset('rq:job:a', {
    status,
    execution_id: RUN,
    worker_name: 'w',
    started_at: '2026-01-02T03:04:04.000000Z',
    ended_at: '2026-01-02T03:04:05.000000Z',
    ...fields,
  });
  await redis.client.expire('rq:job:a', 1000);
  await redis.client.zadd(`rq:${status === 'stopped' ? 'failed' : status}:default`, 9e9, 'a');
  return job;
}

describe('Job.requeue', () => {
  it.each([
    ['finished', { result: '1' }],
    ['failed', { exc_info: 'Error: no' }],
    ['stopped', { exc_info: 'StopRequestedError: x' }],
    ['canceled', {}],
  ])('puts a job that is %s back on its queue', async (status, fields) => {
    const job = await ended(status, fields);
    await redis.client.del('rq:queues');
    await job.requeue();
    expect(job.status).toBe('queued');
    const now = await hash();
    expect(now).toMatchObject({ status: 'queued', data: '["f",null,[1],{}]', origin: 'default' });
    for (const name of ['result', 'exc_info', 'execution_id', 'ended_at', 'started_at', 'worker_name'])
      expect(now).not.toHaveProperty(name);
    expect(now['enqueued_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect((now['enqueued_at'] ?? '') >= (now['created_at'] ?? '')).toBe(true);
    expect(await redis.client.ttl('rq:job:a')).toBe(-1);
    expect((await redis.client.keys('*')).toSorted()).toEqual(['rq:job:a', 'rq:queue:default', 'rq:queues']);
    expect(await list()).toEqual(['a']);
    expect(await redis.client.smembers('rq:queues')).toEqual(['rq:queue:default']);
    expect(await job.result).toBeUndefined();
  });

  it('puts it at the end, or in front where atFront says so', async () => {
    const job = await ended('failed');
    const other = await q.enqueue('f');
    await job.requeue();
    expect(await list()).toEqual([other.id, 'a']);
    await job.cancel();
    await job.requeue({ atFront: true });
    expect(await list()).toEqual(['a', other.id]);
  });

  it('gives the job its ttl again', async () => {
    const job = await ended('failed', { ttl: '60' });
    await job.requeue();
    expect(await redis.client.ttl('rq:job:a')).toBeGreaterThan(55);
    expect(await redis.client.ttl('rq:job:a')).toBeLessThanOrEqual(60);
  });

  it('forgets how often the job was recovered', async () => {
    const job = await ended('failed', { recoveries: '4' });
    await job.requeue();
    expect(await hash()).not.toHaveProperty('recoveries');
  });

  it('does nothing to a job that waits', async () => {
    const job = await q.enqueue('f', [], { jobId: 'a' });
    const before = await hash();
    await job.requeue();
    expect(await list()).toEqual(['a']);
    expect(await hash()).toEqual(before);
  });

  it.each(['started', 'deferred', 'scheduled'])('refuses a job that is %s', async status => {
    const job = await q.enqueue('f', [], { jobId: 'a' });
    await redis.client.multi().hset('rq:job:a', 'status', status).del('rq:queue:default').exec();
    await expect(job.requeue()).rejects.toThrow(InvalidJobOperationError);
    await expect(job.requeue()).rejects.toThrow(`it is ${status}`);
    expect(await hash()).toMatchObject({ status });
    expect(await list()).toEqual([]);
  });

  it('rejects once the job is gone, and writes nothing', async () => {
    const job = await ended('failed');
    await redis.client.flushall();
    await expect(job.requeue()).rejects.toThrow(NoSuchJobError);
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('leaves one copy where it is called twice at once', async () => {
    const job = await ended('failed');
    await Promise.all([job.requeue(), job.requeue()]);
    expect(await list()).toEqual(['a']);
  });

  it('lets the job run again, to another end', async () => {
    let runs = 0;
    const functions = {
      second: () => {
        if (++runs === 1) throw new Error('first');
        return runs;
      },
    };
    const work = (): Promise<void> => workOff(redis, { functions });
    const job = await q.enqueue('second', [], { jobId: 'a' });
    await work();
    await expect(job.result).rejects.toThrow('first');
    await job.requeue();
    await work();
    expect(await job.result).toBe(2);
    expect((await errors()).map(({ error }) => error.split('\n')[0])).toEqual(['Error: first']);
    expect(await redis.client.exists('rq:failed:default')).toBe(0);
    expect(await redis.client.ttl('rq:job:a')).toBeGreaterThan(490);
  });
});

describe('The errors of earlier runs', () => {
  it('hold the text, the time, the worker and the run', async () => {
    await (await ended('failed', { exc_info: 'Error: no "x"\n  at /y' })).requeue();
    expect(await errors()).toEqual([
      { at: '2026-01-02T03:04:05.000000Z', worker: 'w', error: 'Error: no "x"\n  at /y', run: RUN },
    ]);
  });

  it('are absent where a job finished', async () => {
    await (await ended('finished', { result: '1' })).requeue();
    expect(await hash()).not.toHaveProperty('errors');
  });

  it('are the last ten, in order', async () => {
    const earlier = Array.from({ length: 10 }, (_, i) => ({ at: '', worker: '', error: `Error: ${i}` }));
    await (await ended('failed', { errors: JSON.stringify(earlier), exc_info: 'Error: 10' })).requeue();
    expect((await errors()).map(({ error }) => error)).toEqual(
      Array.from({ length: 10 }, (_, i) => `Error: ${i + 1}`),
    );
  });

  it.each([
    ['a', 4096],
    ['é', 4096],
    ['€', 4095],
    ['😀', 4096],
  ])('of many %s are cut to 4 kB of valid UTF-8', async (character, bytes) => {
    const text = character.repeat(5000);
    await (await ended('failed', { exc_info: text })).requeue();
    const error = (await errors())[0]?.error ?? '';
    expect(Buffer.byteLength(error)).toBe(bytes);
    expect(text.startsWith(error)).toBe(true);
  });

  it.each([1, 2, 3])('are cut before a character of which %d bytes would stay', async lead => {
    await (await ended('failed', { exc_info: `${'E'.repeat(4096 - lead)}😀${'z'.repeat(50)}` })).requeue();
    const raw = await redis.client.hgetBuffer('rq:job:a', 'errors');
    const text = new TextDecoder('utf-8', { fatal: true }).decode(raw ?? undefined);
    const [{ error = '' } = {}] = JSON.parse(text) as { error?: string }[];
    expect(error).toBe('E'.repeat(4096 - lead));
  });

  it('of exactly 4 kB stay whole', async () => {
    const text = `${'E'.repeat(4092)}😀`;
    await (await ended('failed', { exc_info: text })).requeue();
    expect((await errors())[0]?.error).toBe(text);
  });

  it('keep one whose text begins with an x', async () => {
    class xmlError extends Error {}
    const functions = {
      parse: () => {
        throw new xmlError('unclosed tag');
      },
    };
    const job = await q.enqueue('parse', [], { jobId: 'a' });
    await workOff(redis, { functions });
    await expect(job.result).rejects.toThrow('unclosed tag');
    await job.requeue();
    expect((await errors()).map(({ error }) => error.slice(0, 22))).toEqual(['xmlError: unclosed tag']);
  });

  it('of a broken list begin anew', async () => {
    await (await ended('failed', { errors: 'not json', exc_info: 'Error: 1' })).requeue();
    expect((await errors()).map(({ error }) => error)).toEqual(['Error: 1']);
  });

  it('are kept through a real worker’s failure', async () => {
    const job = await q.enqueue('fail', ['no luck'], { jobId: 'a' });
    const worker = new Worker('default', { connection: redis.url, functions: tasks, name: 'w7' });
    await worker.work({ burst: true });
    await job.requeue();
    const [first] = await errors();
    expect(first?.at).toMatch(/^\d{4}-.*Z$/);
    expect(first?.worker).toBe('w7');
    expect(first?.error).toMatch(/^RangeError: no luck\n/);
  });
});
