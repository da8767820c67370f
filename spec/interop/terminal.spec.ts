/**
 * Jobs of ours on a Python worker that has a terminal, where RQ's colouring takes other paths: whatever we write and
 * whatever we did to a job before, the worker works on.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Queue, Worker, type EnqueueOptions, type Job } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { missing, Python, PythonWorker, VERSIONS } from './python.ts';

const SOON = { timeout: 10_000, interval: 20 } as const;
const CONTROLS = '\u0000\u0001\u0007\b\t\r\n\u001b[31m\u001b]0;title\u0007\u007f\u0085\u2028';
const UNICODE = 'Grüße 世界 👩‍👩‍👧 שלום \u202e';

/** JSON nested so deep. */
function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { in: value };
  return value;
}

describe.each(VERSIONS)('a Python RQ %s worker on a terminal', version => {
  const why = missing(version);
  let redis: RedisServer;
  let python: Python;
  let link: Link;
  let q: Queue;
  let later: Queue;
  let worker: PythonWorker;

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    python = new Python(version, redis.port);
    link = Link.own(redis.url);
    await link.ready();
    q = new Queue('default', { connection: redis.url });
    later = new Queue('lat_er.Q-2', { connection: redis.url });
    worker = new PythonWorker(version, redis.port, ['default'], { terminal: true });
  });
  beforeEach(context => {
    if (why !== undefined) context.skip(why);
  });
  afterAll(async () => {
    await worker?.end();
    await Promise.all([q?.close(), later?.close()]);
    link?.close();
    await python?.close();
    await redis?.stop();
  });

  /** The worker still works: a plain job is done. */
  async function worksOn(): Promise<void> {
    const plain = await q.enqueue('tasks.add', [40, 2]);
    await vi.waitFor(async () => expect(await plain.result).toBe(42), SOON);
    expect(worker.child.exitCode).toBeNull();
    expect(worker.out).not.toMatch(/quitting|unhandled/);
  }

  async function becomes(job: Job, status: string): Promise<void> {
    await vi.waitFor(async () => expect(await job.getStatus()).toBe(status), SOON);
  }

  it('listens, and colours what it says', async () => {
    await vi.waitFor(() => expect(worker.out).toMatch(/Listening on \u001b\[[\d;]+mdefault/), SOON);
    await worksOn();
  });

  const ARGUMENTS: readonly (readonly [what: string, args: readonly unknown[]])[] = [
    ['nothing', []],
    ['nulls', [null, [null], { a: null }]],
    ['what is empty', ['', [], {}, [[]], { '': {} }]],
    ['booleans', [true, false]],
    [
      'big and small numbers',
      [Number.MAX_SAFE_INTEGER, -(2 ** 63), 2 ** 64, 1e21, 1e308, 5e-324, 0.1, -1.5e-7],
    ],
    ['unicode', [UNICODE, { [UNICODE]: UNICODE }]],
    ['control characters', [CONTROLS, { [CONTROLS]: CONTROLS }]],
    ['a lone surrogate', ['\ud83d', { '\udc00': 1 }]],
    ['format signs and quotes', ['%s %d %(x)s {0} {x} %', `'"\\`]],
    ['499 levels', [deep(499)]],
    ['a long text', ['ä'.repeat(1_000_000)]],
    ['many arguments', Array.from({ length: 5_000 }, (_, i) => i)],
    ['text that looks like our token', ['\\u006aob:1', 'job:1']],
  ];
  it.each(ARGUMENTS)(
    'runs a job of ours that is given %s, gives it back as it was, and works on',
    async (_, args) => {
      const job = await q.enqueue('tasks.echo', args);
      await vi.waitFor(async () => expect(await job.result).toEqual([args, {}]), SOON);
      await worksOn();
    },
  );

  const OPTIONS: readonly (readonly [what: string, options: EnqueueOptions])[] = [
    [
      'every option',
      {
        jobId: 'every_option-1',
        timeout: '5m',
        ttl: '1h',
        resultTtl: '10m',
        failureTtl: '1d',
        description: 'All of them',
        meta: { a: [1, { b: null }] },
        kwargs: { unit: 'kg' },
        atFront: true,
      },
    ],
    ['an id of 128 characters', { jobId: 'aZ0_-'.repeat(26).slice(0, 128) }],
    ['no end of time', { timeout: -1, ttl: -1, resultTtl: -1, failureTtl: -1 }],
    ['the shortest times', { timeout: 1, ttl: 60, resultTtl: 60, failureTtl: 0 }],
    ['very long times', { timeout: '3650d', ttl: '3650d', resultTtl: '3650d', failureTtl: '3650d' }],
    ['a description of one space', { description: ' ' }],
    ['a description in unicode', { description: UNICODE }],
    ['a description of control characters', { description: CONTROLS }],
    ['a description of a lone surrogate', { description: 'a\ud83db' }],
    ['a description of format signs', { description: '%s %d %(x)s %% {0} {x} %' }],
    ['a very long description', { description: 'ö\n'.repeat(100_000) }],
    ['empty meta and kwargs', { meta: {}, kwargs: {} }],
    ['odd meta', { meta: { [UNICODE]: CONTROLS, '': null, deep: deep(490), big: 1e308, lone: '\ud83d' } }],
    ['odd kwargs', { kwargs: { [UNICODE]: 1, 'a b': null, '': [], args: 1, class: 2, deep: deep(490) } }],
    ['atFront', { atFront: true }],
  ];
  it.each(OPTIONS)('runs a job of ours with %s, and works on', async (_, options) => {
    const job = await q.enqueue('tasks.echo', ['x'], options);
    await vi.waitFor(async () => expect(await job.result).toEqual([['x'], options.kwargs ?? {}]), SOON);
    await job.refresh();
    expect(job.meta).toEqual(options.meta ?? {});
    await worksOn();
  });

  it.each([
    [0, -2],
    [-1, -1],
    [600, 600],
  ])('keeps a result for %i s, and works on', async (resultTtl, ttl) => {
    await q.enqueue('tasks.add', [1, 2], { resultTtl, jobId: `kept-${resultTtl}` });
    await worksOn();
    const left = await redis.client.ttl(`rq:job:kept-${resultTtl}`);
    // some of it is over by now
    expect(left).toBeLessThanOrEqual(ttl);
    expect(left).toBeGreaterThan(ttl > 0 ? ttl - 30 : ttl - 1);
    expect(await redis.client.exists(`rq:results:kept-${resultTtl}`)).toBe(ttl === -2 ? 0 : 1);
  });

  it.each<
    readonly [what: string, name: string, args: readonly unknown[], options: EnqueueOptions, said: string]
  >([
    ['that throws', 'tasks.fail', [CONTROLS + UNICODE], {}, UNICODE],
    ['that throws, and is kept for ever', 'tasks.fail', ['%s'], { failureTtl: -1 }, '%s'],
    ['of a module that there is none of', 'nowhere.at.all', [], {}, 'nowhere.at.all'],
    ['of a function that there is none of', 'tasks.nobody', [], {}, 'nobody'],
    ['of a name without a module', 'nobody', [], {}, 'nobody'],
    ['of a name in odd letters', 'größe.世界.👩‍👧', [], {}, 'größe'],
    ['of a name of dots', '...', [], {}, 'relative import'],
    [
      'with arguments that the function does not take',
      'tasks.add',
      [1, 2, 3],
      { kwargs: { z: 1 } },
      'unexpected keyword',
    ],
    ['that takes too long', 'tasks.sleep', [30], { timeout: 1 }, 'exceeded maximum timeout'],
  ])('fails a job of ours %s, and works on', async (_, name, args, options, said) => {
    const job = await q.enqueue(name, args, options);
    await becomes(job, 'failed');
    await expect(job.result).rejects.toThrow(said);
    await worksOn();
  });

  it('passes over a failed job of ours that is not kept, and works on', async () => {
    const job = await q.enqueue('tasks.fail', [], { failureTtl: 0, jobId: 'not-kept' });
    await expect.poll(() => redis.client.exists(`rq:job:${job.id}`), SOON).toBe(0);
    await worksOn();
  });

  // RQ has no fence: what its run ends with is written over what we did meanwhile, as it is over its own cancel and delete
  it.each<readonly [what: string, act: (job: Job) => Promise<unknown>, ends: string]>([
    ['canceled', job => job.cancel(), 'finished'],
    ['deleted', job => job.delete(), 'finished'],
    ['stopped', job => job.stop(), 'stopped'],
    ['canceled and requeued', async job => job.cancel().then(() => job.requeue()), 'finished'],
  ])('that runs a job which we have %s, works on', async (what, act, ends) => {
    const job = await q.enqueue('tasks.sleep', [1]);
    await becomes(job, 'started');
    await act(job);
    await worksOn();
    expect([what, await job.getStatus()]).toEqual([what, ends]);
  });

  it('runs a job of ours again that failed there and that we requeued, and works on', async () => {
    const job = await q.enqueue('tasks.fail', ['again'], { ttl: 600 });
    for (let i = 0; i < 3; i++) {
      await becomes(job, 'failed');
      await job.requeue({ atFront: i === 1 });
    }
    await becomes(job, 'failed');
    await worksOn();
    expect(await python.run('out = len(job(id).results())', { id: job.id })).toBe(4);
  });

  it('runs a job of ours that replaces one of the same id, and works on', async () => {
    for (const n of [1, 2]) {
      const job = await q.enqueue('tasks.add', [n, n], { jobId: 'same' });
      await vi.waitFor(async () => expect(await job.result).toBe(n * 2), SOON);
    }
    await worksOn();
  });

  it('passes over ids of ours whose jobs are gone, and works on', async () => {
    await redis.client.rpush('rq:queue:default', 'gone-1', 'gone-2');
    await worksOn();
    expect(await q.count()).toBe(0);
  });

  /** What a Node worker or program did to jobs that then wait for Python on the queue `later`; each answers its job. */
  const HISTORIES: readonly (readonly [what: string, make: () => Promise<Job>])[] = [
    ['failed here and requeued', () => requeued('fails')],
    ['finished here and requeued', () => requeued('echo')],
    [
      'stopped here and requeued',
      async () => {
        const [job, done] = await running();
        await vi.waitFor(() => job.stop(), SOON);
        await becomes(job, 'stopped');
        await done('warm');
        await job.requeue();
        return job;
      },
    ],
    [
      'given back by a worker that was told to stop',
      async () => {
        const [job, done] = await running();
        await done('cold');
        return job;
      },
    ],
    [
      'canceled while it ran here, and requeued',
      async () => {
        const [job, done] = await running();
        await job.cancel();
        await done('warm');
        await job.requeue();
        return job;
      },
    ],
    [
      'canceled while it waited, and requeued',
      async () => {
        const job = await later.enqueue('tasks.echo', ['x']);
        await job.cancel();
        await job.requeue();
        return job;
      },
    ],
    [
      'recovered from a worker that died',
      async () => {
        const job = await later.enqueue('tasks.echo', ['x'], { atFront: true });
        const store = new WorkerStore(new Keys(), 'dead', [later.name], { lease: -30 });
        const request = { handIns: [], want: 1, claims: new Set<number>(), strategy: 'default' } as const;
        expect((await store.advance(link.redis, request)).jobs).toMatchObject([{ jobId: job.id }]);
        expect(await store.sweep(link.redis, 0, true)).toMatchObject({ recovered: [job.id] });
        return job;
      },
    ],
    [
      'claimed and released',
      async () => {
        const job = await later.enqueue('tasks.echo', ['x'], { atFront: true });
        const store = new WorkerStore(new Keys(), 'full', [later.name]);
        await redis.client.blmove(store.listKey(0), store.claimsKey(0), 'LEFT', 'RIGHT', 1);
        expect(await store.releaseClaims(link.redis)).toBe(1);
        return job;
      },
    ],
    [
      'its own, failed here with a retry left',
      async () => {
        const id = await theirs('retry=Retry(max=2), at_front=True');
        await node({ 'tasks.echo': fails }).work({ maxJobs: 1 });
        return (await later.fetchJob(id)) as Job;
      },
    ],
    [
      'its own, released here when what it waited for had finished',
      async () => {
        const first = await later.enqueue('tasks.echo', ['x'], { atFront: true });
        const id = await theirs(`depends_on="${first.id}"`);
        await node({ 'tasks.echo': () => UNICODE }).work({ maxJobs: 1 });
        return (await later.fetchJob(id)) as Job;
      },
    ],
  ];
  const fails = (): never => {
    throw new RangeError(CONTROLS + UNICODE);
  };
  const node = (functions: Readonly<Record<string, () => unknown>>): Worker =>
    new Worker(later.name, {
      connection: redis.url,
      functions: new Map(Object.entries(functions)),
      grace: '50ms',
    });

  /** A job of Python's own on that queue. */
  const theirs = (options: string): Promise<string> =>
    python.run<string>(`out = queue("${later.name}").enqueue("tasks.echo", "x", ${options}).id`);

  /** A job that a Node worker ended. */
  async function requeued(how: 'fails' | 'echo'): Promise<Job> {
    const job = await later.enqueue('tasks.echo', ['x'], { atFront: true });
    await node({ 'tasks.echo': how === 'fails' ? fails : () => UNICODE }).work({ maxJobs: 1 });
    await becomes(job, how === 'fails' ? 'failed' : 'finished');
    await job.requeue();
    return job;
  }

  /** A job that a Node worker is in the middle of, and how to end that worker. */
  async function running(): Promise<[job: Job, done: (kind: 'warm' | 'cold') => Promise<void>]> {
    const job = await later.enqueue('tasks.echo', ['x'], { atFront: true });
    const endless = node({ 'tasks.echo': () => new Promise(() => {}) });
    const working = endless.work({ maxJobs: 1 });
    await becomes(job, 'started');
    return [job, kind => endless.stop(kind).then(() => working)];
  }

  it('of two queues runs what we did all kinds of things to, and ends when its queues are empty', async () => {
    const jobs: [what: string, job: Job][] = [];
    for (const [what, make] of HISTORIES) jobs.push([what, await make()]);
    expect(await later.count()).toBe(jobs.length);
    const two = new PythonWorker(version, redis.port, [later.name, 'other', '--burst'], { terminal: true });
    expect({ code: await two.exit(), out: two.out }).toMatchObject({
      code: 0,
      out: expect.not.stringMatching(/unhandled|Traceback/),
    });
    const results = await Promise.all(jobs.map(async ([what, job]) => [what, await job.result]));
    expect(results).toEqual(HISTORIES.map(([what]) => [what, [['x'], {}]]));
    expect(await later.failedRegistry.count()).toBe(0);
    await worksOn();
  });
});
