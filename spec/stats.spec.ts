import { describe, expect, it } from 'vitest';
import { Worker } from '../lib/index.ts';
import { statsOf } from '../lib/stats.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

describe('statsOf', () => {
  const base = { now: 1000, length: 7, taken: 100, oldest: '1970-01-01T00:16:10.000000Z', samples: [] };

  it('gives the age of the job that waits longest, by Redis’ clock', () => {
    expect(statsOf(base).oldestAge).toBe(30);
    expect(statsOf({ ...base, oldest: '' }).oldestAge).toBe(0);
    expect(statsOf({ ...base, now: 900 }).oldestAge).toBe(0);
  });

  it('takes rates from the oldest sample of the last minute', () => {
    const samples = ['990.000 5 80', '950.000 2 50', '900.000 0 0'];
    expect(statsOf({ ...base, samples })).toMatchObject({ departures: 1, arrivals: (7 - 2 + 50) / 50 });
  });

  it.each([[[]], [['999.500 5 80']], [['800.000 5 80']], [['garbage']]])('gives none from %j', samples => {
    expect(statsOf({ ...base, samples })).toMatchObject({ arrivals: undefined, departures: undefined });
  });
});

describe('Queue.stats', () => {
  it('tells the length and the oldest job of a queue that nobody works on', async () => {
    expect(await q.stats()).toEqual({ length: 0, oldestAge: 0, arrivals: undefined, departures: undefined });
    await q.enqueueMany([['noop'], ['noop']]);
    const { length, oldestAge } = await q.stats();
    expect(length).toBe(2);
    expect(oldestAge).toBeLessThan(5);
  });

  it('tells what came and went since a worker has listened', async () => {
    const worker = new Worker('default', { connection: redis.url, functions: { noop: () => {} } });
    const working = worker.work();
    await expect.poll(() => redis.client.llen('rq:samples:default')).toBe(1);
    const jobs = await q.enqueueMany(Array.from({ length: 50 }, () => ['noop'] as const));
    await Promise.all(jobs.map(job => job.wait({ timeout: 10 })));
    await expect.poll(async () => (await q.stats()).departures, { timeout: 10_000 }).toBeGreaterThan(0);
    const { arrivals, departures } = await q.stats();
    expect(arrivals).toBeCloseTo(departures ?? 0, 1);
    expect(await redis.client.get('rq:taken:default')).toBe('50');
    await worker.stop();
    await working;
  });
});
