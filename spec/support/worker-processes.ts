/** The `rq-worker` processes of a spec file: none outlives its test. */
import { afterEach, expect } from 'vitest';
import type { RedisServer } from './redis.ts';
import { startWorker, type WorkerProcess } from './worker-process.ts';

export interface WorkerProcesses {
  /** Starts one with the spec tasks; further arguments follow. */
  readonly start: (queues: readonly string[], ...args: readonly string[]) => WorkerProcess;
  /** Starts one and waits for its end, which must be with 0. */
  readonly runs: (queues: readonly string[], ...args: readonly string[]) => Promise<WorkerProcess>;
  /** Has one that was started otherwise end with the test too. */
  readonly keep: (worker: WorkerProcess) => WorkerProcess;
}

export function useWorkerProcesses(redis: RedisServer): WorkerProcesses {
  const workers: WorkerProcess[] = [];
  afterEach(() => Promise.all(workers.splice(0).map(worker => worker.end())));
  const keep = (worker: WorkerProcess): WorkerProcess => {
    workers.push(worker);
    return worker;
  };
  const start: WorkerProcesses['start'] = (queues, ...args) => keep(startWorker(redis.url, queues, ...args));
  return {
    start,
    async runs(queues, ...args) {
      const worker = start(queues, ...args);
      expect({ ...(await worker.exit()), said: worker.all }).toMatchObject({ code: 0, signal: null });
      return worker;
    },
    keep,
  };
}
