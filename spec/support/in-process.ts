/** What specs share within their process: hooks make it before the tests, and end it in reverse order. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { Link } from '../../lib/connection.ts';
import type { FunctionSource } from '../../lib/functions.ts';
import { Keys } from '../../lib/keys.ts';
import { Queue } from '../../lib/queue.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import { Worker } from '../../lib/worker/worker.ts';
import { late } from './late.ts';
import { startRedis, type RedisServer, type ServerOptions } from './redis.ts';
import * as tasks from './tasks.js';

/** A Redis of the file's own, empty when a test begins. */
export function useRedis(options?: ServerOptions): RedisServer {
  let redis: RedisServer | undefined;
  beforeAll(async () => {
    redis = await startRedis(options);
  });
  beforeEach(() => redis?.client.flushall());
  afterAll(() => redis?.stop());
  return late(() => redis);
}

/** A queue with a connection of its own. */
export function useQueue(redis: RedisServer, name: string = 'default'): Queue {
  let queue: Queue | undefined;
  beforeAll(() => {
    queue = new Queue(name, { connection: redis.url });
  });
  afterAll(() => queue?.close());
  return late(() => queue);
}

/** A link that is ready. */
export function useLink(redis: RedisServer, options: { readonly persistent?: boolean } = {}): Link {
  let link: Link | undefined;
  beforeAll(async () => {
    link = Link.own(redis.url, options);
    await link.ready();
  });
  afterAll(() => link?.close());
  return late(() => link);
}

/** The store of a worker `w1`, a new one for each test. */
export function useWorkerStore(...queues: readonly string[]): WorkerStore {
  let store: WorkerStore | undefined;
  beforeEach(() => {
    store = new WorkerStore(new Keys(), 'w1', queues);
  });
  return late(() => store);
}

export type MakeWorker = (
  functions?: FunctionSource,
  options?: Partial<WorkerOptions>,
  queues?: string | readonly string[],
) => Worker;

/** Makes workers, which listen on the queue `q` where no other is named, and end with the test. */
export function useWorkers(redis: RedisServer): MakeWorker {
  const workers: Worker[] = [];
  afterEach(async () => {
    await Promise.all(workers.splice(0).map(worker => worker.stop('cold')));
  });
  return (functions = { f: () => 1 }, options = {}, queues = 'q') => {
    const worker = new Worker(queues, { connection: redis.url, functions, ...options });
    workers.push(worker);
    return worker;
  };
}

/** Runs all that waits on the queue `default`, or on others, with the spec tasks. */
export function workOff(
  redis: RedisServer,
  options: Partial<WorkerOptions> = {},
  queues: string | readonly string[] = 'default',
): Promise<void> {
  return new Worker(queues, { connection: redis.url, functions: tasks, ...options }).work({ burst: true });
}
