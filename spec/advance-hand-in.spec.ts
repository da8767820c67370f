import { describe, expect, it } from 'vitest';
import type { Ended, HandIn, RunRef } from '../lib/outcome.ts';
import type { AdvanceReply } from '../lib/advance.ts';
import { useLink, useRedis, useWorkerStore } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);
const store = useWorkerStore('a', 'b');

const none = { handIns: [], want: 0, claims: new Set<number>(), strategy: 'default' } as const;

/** Puts jobs on a queue and takes them. */
async function started(ids: readonly string[], queue: string = 'a'): Promise<readonly RunRef[]> {
  for (const id of ids) {
    await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: queue, data: '["fn",null,[],{}]' });
  }
  await redis.client.rpush(`rq:queue:${queue}`, ...ids);
  return (await store.advance(link.redis, { ...none, want: ids.length })).jobs;
}

const finished = (text: string = '85', more: Partial<Ended> = {}): Ended => ({
  status: 'finished',
  ttl: 500,
  text,
  stream: '',
  publish: true,
  again: '',
  ...more,
});
const failed = (text: string = 'Error: no', more: Partial<Ended> = {}): Ended => ({
  ...finished(text),
  status: 'failed',
  ttl: 60,
  publish: false,
  again: 'plan',
  ...more,
});

const endedWith = ({ place, jobId, executionId }: RunRef, ended: Ended): HandIn => ({
  place,
  jobId,
  executionId,
  ended,
  seconds: 2,
});

async function handIn(...outcomes: readonly HandIn[]): Promise<AdvanceReply['answers']> {
  return (await store.advance(link.redis, { ...none, handIns: outcomes })).answers;
}

async function one(ended: Ended, id: string = '1'): Promise<{ answer: string | undefined; run: HandIn }> {
  const [ref] = await started([id]);
  const run = { ...(ref as RunRef), ended, seconds: 2 };
  const [answer] = await handIn(run);
  return { answer, run };
}

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);

async function scoreIn(key: string, id: string): Promise<number> {
  const score = await redis.client.zscore(key, id);
  return score === 'inf' ? Infinity : Number(score) - Date.now() / 1000;
}

describe('WorkerStore.advance: handing in', () => {
  it('stores a result in the hash, and nowhere else', async () => {
    const { answer } = await one(finished('{"a":1}'));
    expect(answer).toBe('accepted');
    expect(await hash('1')).toMatchObject({ status: 'finished', result: '{"a":1}' });
    expect((await hash('1'))['ended_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(await redis.client.exists('rq:results:1')).toBe(0);
  });

  it('moves the run from the started registry to the finished one, until it expires', async () => {
    await one(finished());
    expect(await redis.client.zcard('rq:wip:a')).toBe(0);
    expect(Math.abs((await scoreIn('rq:finished:a', '1')) - 500)).toBeLessThan(5);
    expect(await redis.client.ttl('rq:job:1')).toBeGreaterThan(490);
    expect(await redis.client.zcard('rq:failed:a')).toBe(0);
  });

  it('stores an error’s text and its time in the failed registry', async () => {
    await one(failed('RangeError: too far'));
    const fields = await hash('1');
    expect(fields).toMatchObject({ status: 'failed', exc_info: 'RangeError: too far' });
    expect(fields).not.toHaveProperty('result');
    expect(Math.abs((await scoreIn('rq:failed:a', '1')) - 60)).toBeLessThan(5);
    expect(await redis.client.ttl('rq:job:1')).toBeGreaterThan(50);
    expect(await redis.client.zcard('rq:finished:a')).toBe(0);
  });

  it('puts a stopped job among the failed ones', async () => {
    await one(failed('StopRequestedError: Job was asked to stop', { status: 'stopped' }));
    expect(await hash('1')).toMatchObject({ status: 'stopped' });
    expect(await redis.client.zrange('rq:failed:a', '0', '-1')).toEqual(['1']);
  });

  it('deletes the job where nothing is to be kept', async () => {
    const { answer } = await one(finished('85', { ttl: 0 }));
    expect(answer).toBe('accepted');
    expect(await redis.client.keys('*')).toEqual(['rq:taken:a']);
  });

  it('keeps a job for ever with -1', async () => {
    await one(finished('85', { ttl: -1 }));
    expect(await redis.client.ttl('rq:job:1')).toBe(-1);
    expect(await scoreIn('rq:finished:a', '1')).toBe(Infinity);
  });

  it('answers each outcome of a mixed call in its place', async () => {
    const runs = await started(['1', '2', '3', '4', '5']);
    const kinds = [
      finished('1'),
      failed('two'),
      finished('3', { ttl: 0 }),
      finished('4', { stream: 'NA==' }),
      finished('5'),
    ];
    await redis.client.del('rq:job:2');
    const answers = await handIn(...runs.map((run, i) => endedWith(run, kinds[i] as Ended)));
    expect(answers).toEqual(['accepted', 'refused', 'accepted', 'accepted', 'accepted']);
    expect(await redis.client.zrange('rq:finished:a', '0', '-1')).toEqual(['1', '4', '5']);
    expect(await redis.client.xlen('rq:results:4')).toBe(1);
    expect(await hash('5')).toMatchObject({ status: 'finished', result: '5' });
  });

  it('takes a thousand outcomes in one call', async () => {
    const ids = Array.from({ length: 500 }, (_, i) => `job-${i}`);
    const runs = [...(await started(ids)), ...(await started(ids.map(id => `more-${id}`)))];
    const answers = await handIn(...runs.map(run => endedWith(run, finished())));
    expect(answers).toHaveLength(1000);
    expect(new Set(answers)).toEqual(new Set(['accepted']));
    expect(await redis.client.zcard('rq:finished:a')).toBe(1000);
    expect(await redis.client.zcard('rq:wip:a')).toBe(0);
  });

  it('publishes the end, with the result, to those who listen', async () => {
    const subscriber = redis.client.duplicate();
    const messages: string[] = [];
    subscriber.on('pmessage', (_: string, channel: string, text: string) => messages.push(channel, text));
    const [run] = await started(['1']);
    await subscriber.psubscribe('rq:status:*');
    await handIn(endedWith(run as RunRef, finished('{"n":1}')));
    await expect.poll(() => messages.length, { interval: 10 }).toBe(2);
    expect(messages[0]).toBe('rq:status:a:1');
    expect(JSON.parse(messages[1] ?? '')).toMatchObject({
      job_id: '1',
      status: 'finished',
      queue: 'a',
      worker: 'w1',
      result: { n: 1 },
    });
    subscriber.disconnect();
  });

  it('asks who listens before it publishes a long result', async () => {
    const published = async (): Promise<number> =>
      Number(/cmdstat_publish:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);
    const long = JSON.stringify('x'.repeat(2_000));
    const [first, second] = await started(['1', '2']);
    await redis.client.config('RESETSTAT');
    await handIn(endedWith(first as RunRef, finished(long)));
    expect(await published()).toBe(0);
    const subscriber = redis.client.duplicate();
    const messages: string[] = [];
    subscriber.on('message', (_: string, text: string) => messages.push(text));
    await subscriber.subscribe('rq:status:a:2');
    await handIn(endedWith(second as RunRef, finished(long)));
    await expect.poll(() => messages.length, { interval: 10 }).toBe(1);
    expect(JSON.parse(messages[0] ?? '')).toMatchObject({ job_id: '2', result: 'x'.repeat(2_000) });
    subscriber.disconnect();
  });
});

describe('WorkerStore.advance: the stream that Python reads', () => {
  const entry = async (id: string): Promise<Record<string, string>> => {
    const [[, flat] = ['', []]] = await redis.client.xrange(`rq:results:${id}`, '-', '+');
    return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
  };

  it('gets a result', async () => {
    const { run } = await one(finished('85', { stream: 'ODU=' }));
    const fields = await entry('1');
    expect(fields).toMatchObject({
      type: '1',
      worker_name: 'w1',
      return_value: 'ODU=',
      execution_id: run.executionId,
    });
    expect(Math.abs(Number(fields['execution_ended_at']) - Date.now() / 1000)).toBeLessThan(5);
    expect(fields).not.toHaveProperty('exc_string');
    expect(await hash('1')).toMatchObject({ result: '85' });
    expect(await redis.client.ttl('rq:results:1')).toBeGreaterThan(490);
  });

  it('says when the run began and ended, in unix seconds', async () => {
    await one(finished('85', { stream: 'ODU=' }));
    const { execution_started_at: began, execution_ended_at: ended } = await entry('1');
    expect(Number(ended) * 1000).toBeCloseTo(Date.parse((await hash('1'))['ended_at'] ?? ''), -1);
    // as long as the worker says that it took
    expect(Number(ended) - Number(began)).toBeCloseTo(2, 3);
  });

  it.each([
    ['failed', '2'],
    ['stopped', '3'],
  ] as const)('gets the error of a job that %s', async (status, type) => {
    await one(failed('text', { status, stream: 'emxpYg==' }));
    expect(await entry('1')).toMatchObject({ type, exc_string: 'emxpYg==', worker_name: 'w1' });
    expect(await entry('1')).not.toHaveProperty('return_value');
  });

  it('is deleted with a job of which nothing is kept', async () => {
    await redis.client.xadd('rq:results:1', '*', 'type', '2');
    await one(finished('85', { ttl: 0, stream: 'ODU=' }));
    expect(await redis.client.exists('rq:results:1')).toBe(0);
  });

  it('lives for ever with -1', async () => {
    await one(finished('85', { ttl: -1, stream: 'ODU=' }));
    expect(await redis.client.ttl('rq:results:1')).toBe(-1);
  });

  it('keeps the last ten', async () => {
    for (let i = 0; i < 12; i++) await redis.client.xadd('rq:results:1', '*', 'type', '2');
    await one(finished('85', { stream: 'ODU=' }));
    expect(await redis.client.xlen('rq:results:1')).toBe(10);
  });
});

describe('WorkerStore.advance: the fence', () => {
  it('refuses an outcome of a job that is gone, and brings no hash back to life', async () => {
    const [run] = await started(['1']);
    await redis.client.del('rq:job:1');
    expect(await handIn(endedWith(run as RunRef, finished()))).toEqual(['refused']);
    expect(await redis.client.exists('rq:job:1', 'rq:results:1', 'rq:finished:a')).toBe(0);
  });

  it.each(['queued', 'canceled', 'failed', 'stopped', 'scheduled'])(
    'refuses a result of a job that is %s',
    async status => {
      const [run] = await started(['1']);
      await redis.client.hset('rq:job:1', 'status', status);
      const before = await hash('1');
      expect(await handIn(endedWith(run as RunRef, finished()))).toEqual(['refused']);
      expect(await hash('1')).toEqual(before);
      expect(await redis.client.exists('rq:finished:a')).toBe(0);
    },
  );

  it('refuses an outcome of another run than the job’s', async () => {
    const [first] = await started(['1']);
    await redis.client.hset('rq:job:1', 'status', 'queued');
    await redis.client.rpush('rq:queue:a', '1');
    const [second] = (await store.advance(link.redis, { ...none, want: 1 })).jobs;
    expect(second?.executionId).not.toBe(first?.executionId);
    const answers = await handIn(
      endedWith(first as RunRef, finished('"first"')),
      endedWith(second as RunRef, finished('"second"')),
    );
    expect(answers).toEqual(['refused', 'accepted']);
    expect(await hash('1')).toMatchObject({ result: '"second"' });
  });

  it('refuses an outcome where the job’s key is no hash any more, and harms no other job', async () => {
    const runs = await started(Array.from({ length: 100 }, (_, i) => `job-${i}`));
    await redis.client.del('rq:job:job-7');
    await redis.client.set('rq:job:job-7', 'x');
    const answers = await handIn(...runs.map(run => endedWith(run, finished())));
    expect(answers.filter(answer => answer === 'accepted')).toHaveLength(99);
    expect(answers[7]).toBe('refused');
    expect(await redis.client.zcard('rq:finished:a')).toBe(99);
    expect(await redis.client.get('rq:job:job-7')).toBe('x');
  });

  it('accepts an outcome twice and stores it once', async () => {
    const { run } = await one(finished('85', { stream: 'ODU=' }));
    const before = await hash('1');
    expect(await handIn(run)).toEqual(['accepted']);
    expect(await handIn(run, run)).toEqual(['accepted', 'accepted']);
    expect(await hash('1')).toEqual(before);
    expect(await redis.client.xlen('rq:results:1')).toBe(1);
    expect(await redis.client.zcard('rq:finished:a')).toBe(1);
  });
});

describe('WorkerStore.advance: handing in with keys of the wrong type', () => {
  it.each(['rq:wip:a', 'rq:finished:a', 'rq:failed:a', 'rq:queue:a'])(
    'keeps the job as it is where %s has one, and ends those of other queues',
    async key => {
      const [a] = await started(['1'], 'a');
      const [b] = await started(['2'], 'b');
      await redis.client.del(key);
      await redis.client.set(key, 'x');
      const answers = await handIn(endedWith(a as RunRef, finished()), endedWith(b as RunRef, finished()));
      expect(answers).toEqual(['wrong type', 'accepted']);
      expect(await hash('1')).toMatchObject({ status: 'started' });
      expect(await hash('2')).toMatchObject({ status: 'finished' });
    },
  );

  it('stores the result in the hash where the result stream has one', async () => {
    await redis.client.set('rq:results:1', 'x');
    const { answer } = await one(finished('85', { stream: 'ODU=' }));
    expect(answer).toBe('accepted');
    expect(await hash('1')).toMatchObject({ status: 'finished', result: '85' });
  });
});

describe('WorkerStore.advance: a Redis that is out of memory', () => {
  it('lets jobs be taken and ended', async () => {
    const fields = { status: 'queued', origin: 'a', data: '["fn",null,[],{}]' };
    await redis.client.hset('rq:job:1', fields);
    await redis.client.rpush('rq:queue:a', '1');
    await redis.client.config('SET', 'maxmemory', '1');
    try {
      await expect(redis.client.set('any', 'x')).rejects.toThrow(/OOM/);
      const { jobs } = await store.advance(link.redis, { ...none, want: 1 });
      expect(jobs).toHaveLength(1);
      expect(await handIn(...jobs.map(run => endedWith(run, finished('1'))))).toEqual(['accepted']);
      expect(await hash('1')).toMatchObject({ status: 'finished', result: '1' });
    } finally {
      await redis.client.config('SET', 'maxmemory', '0');
    }
  });
});
