/** What specs of both languages share: one Redis, one Python, one queue, and the same functions on both sides. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { getCurrentJob, Worker, type Queue, type WorkOptions, type WorkerOptions } from '../../lib/index.ts';
import { useQueue, useRedis, useWorkers, type MakeWorker } from '../support/in-process.ts';
import { late } from '../support/late.ts';
import type { RedisServer } from '../support/redis.ts';
import { missing, Python } from './python.ts';

export const RUNNERS = ['Python', 'Node'] as const;
export type Runner = (typeof RUNNERS)[number];

/** The names of `tasks.py`, for Node workers. */
const FUNCTIONS: Readonly<Record<string, unknown>> = {
  'tasks.add': (x: number, y: number) => x + y,
  'tasks.echo': (...args: readonly unknown[]) => args,
  'tasks.fail': (message = 'on purpose') => {
    throw new RangeError(message);
  },
  'tasks.second_time': async () => {
    const job = getCurrentJob();
    if (job?.meta['tried'] === true) return 'well';
    job!.meta['tried'] = true;
    await job?.saveMeta();
    throw new RangeError('the first time');
  },
};

export type WorkPlan = WorkOptions & {
  readonly functions?: Readonly<Record<string, unknown>>;
  readonly queues?: string | readonly string[];
  readonly options?: Partial<WorkerOptions>;
};

export interface Both {
  readonly redis: RedisServer;
  readonly python: Python;
  readonly q: Queue;
  /** A Node worker of the queue `default` that the test starts, and that ends with it. */
  readonly worker: MakeWorker;
  /** Runs what waits with a Node worker, until the queues are empty; answers its warnings. */
  readonly work: (plan?: WorkPlan) => Promise<readonly string[]>;
  /** The same with a worker of either language. */
  readonly workAs: (runner: Runner, plan?: Pick<WorkPlan, 'queues' | 'maxJobs'>) => Promise<void>;
  /** The ids in a list or a sorted set, in their order. */
  readonly ids: (key: string) => Promise<string[]>;
}

/** Redis is empty when a test begins; tests are skipped where this version of Python RQ is not installed. */
export function useBoth(version: string): Both {
  const why = missing(version);
  const redis = useRedis();
  const q = useQueue(redis);
  const make = useWorkers(redis);
  let started: Python | undefined;
  beforeAll(async () => {
    if (why !== undefined) return;
    started = new Python(version, redis.port);
    // no traceback for each job that fails on purpose, and no second of waiting, at the end of each burst, for the thread
    // that would hear commands
    await started.run(`
import logging
logging.getLogger("rq.worker").disabled = True
SimpleWorker.subscribe = SimpleWorker.unsubscribe = lambda self: None`);
  });
  beforeEach(context => {
    if (why !== undefined) context.skip(why);
  });
  afterAll(() => started?.close());
  const python = late(() => started);

  const work = async ({ functions = {}, queues = 'default', options, ...until }: WorkPlan = {}): Promise<
    readonly string[]
  > => {
    const warnings: string[] = [];
    await new Worker(queues, { connection: redis.url, functions: { ...FUNCTIONS, ...functions }, ...options })
      .on('warning', text => warnings.push(text))
      .work({ burst: true, ...until });
    return warnings;
  };
  return {
    redis,
    python,
    q,
    work,
    worker: (functions = {}, options = {}, queues = 'default') =>
      make({ ...FUNCTIONS, ...functions }, options, queues),
    workAs: async (runner, { queues = 'default', maxJobs } = {}) => {
      if (runner === 'Node') await work({ queues, ...(maxJobs === undefined ? {} : { maxJobs }) });
      else await python.run('work(*names, max_jobs=most)', { names: [queues].flat(), most: maxJobs ?? null });
    },
    ids: async key => {
      const isList = (await redis.client.type(key)) === 'list';
      return isList ? redis.client.lrange(key, 0, -1) : redis.client.zrange(key, '0', '-1');
    },
  };
}

/** A promise, and what ends it: what a job's function waits for. */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const passed = new Promise<void>(resolve => (open = resolve));
  return { passed, open };
}
