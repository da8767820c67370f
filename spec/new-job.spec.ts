/** The form in which new jobs go to Redis. */
import { describe, expect, it } from 'vitest';
import { jobsInGroups, plainJob, type NewJob } from '../lib/new-job.ts';
import { Queue, type EnqueueOptions } from '../lib/index.ts';
import { useRedis } from './support/in-process.ts';

const plain: NewJob = plainJob('a', '["f",null,[],{}]', 'f()', ['timeout', '180']);

describe('jobsInGroups', () => {
  it('says once what neighbours have in common', () => {
    expect(jobsInGroups([plain, { ...plain, id: 'b', settings: ['timeout', '180'] }])).toEqual([
      2,
      2,
      'timeout',
      '180',
      '',
      'a',
      plain.data,
      'f()',
      'b',
      plain.data,
      'f()',
    ]);
  });

  it.each([
    { atFront: true },
    { ttl: 60 },
    { due: '+5' },
    { group: 'g' },
    { dependencies: ['d'] },
    { enqueueId: 'e' },
    { unique: 'id' },
    { unique: 'throw:0', call: 'c' },
    { settings: ['timeout', '181'] },
    { settings: ['timeout', '180', 'ttl', '9'] },
  ])('begins another group for a job with %j', other => {
    const one = jobsInGroups([plain]);
    const two = jobsInGroups([{ ...plain, ...other }]);
    expect(two).not.toEqual(one);
    expect(jobsInGroups([plain, { ...plain, ...other }, plain])).toEqual([...one, ...two, ...one]);
  });
});

describe('the enqueue script', () => {
  const redis = useRedis();

  it('stores a mixed batch in its order, each job with its own settings', async () => {
    await using q = new Queue('mixed', { connection: redis.url });
    const options: EnqueueOptions[] = [
      {},
      { atFront: true },
      { jobId: 'mine' },
      { ttl: 60 },
      { timeout: 7, ttl: 60 },
      { jobId: 'mine2' },
      {},
    ];
    const jobs = await Promise.all(options.map((given, i) => q.enqueue('f', [i], given)));
    expect(await q.getJobIds()).toEqual([1, 0, 2, 3, 4, 5, 6].map(i => jobs[i]?.id));
    const read = await Promise.all(jobs.map(({ id }) => q.fetchJob(id)));
    expect(read.map(job => [job?.args[0], job?.ttl, job?.timeout])).toEqual(
      options.map(({ ttl, timeout = 180 }, i) => [i, ttl, timeout]),
    );
  });
});
