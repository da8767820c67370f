/** Runs a job at once where it is enqueued, as a worker of its own would: for queues with `isAsync: false`. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { callbackOf } from './callback-run.ts';
import { LEASE, WATCH_MS } from './defaults.ts';
import type { FunctionTable, TaskFunction } from './functions.ts';
import type { QueueKeys } from './keys.ts';
import { messageOf } from './options.ts';
import type { Ended, Outcome } from './outcome.ts';
import type { Prepared } from './prepare.ts';
import { Run } from './run.ts';
import type { Enqueued } from './enqueue-store.ts';
import type { Store } from './store.ts';
import { perform } from './tracing.ts';
import { WorkerStore, type Report } from './worker-store.ts';

/**
 * The job goes past the queue's list, through the claims of a worker that is registered for as long as the run takes: no
 * other worker can take it, and should this process die, it goes back to the queue as any other. Answers how it ended;
 * the job that is there instead of a unique call; `undefined` where the end was not accepted.
 */
export async function runNow(
  redis: Redis,
  store: Store,
  queue: QueueKeys,
  { job, call, callbacks = new Map() as FunctionTable }: Prepared,
  fn: TaskFunction,
): Promise<Ended['status'] | Exclude<Enqueued, string> | undefined> {
  const name = randomUUID().replaceAll('-', '');
  const worker = new WorkerStore(store.keys, name, [queue.name], { aside: true });
  const request = { claims: new Set([0]), strategy: 'default', want: 1 } as const;
  const report: Report = { state: 'busy', currentJob: job.id, finished: 0, failed: 0, seconds: 0 };
  const alive = (): Promise<unknown> => worker.heartbeat(redis, report, ['queues', queue.name]);
  let run: Run | undefined;
  // from the first call to the last: a connection alone keeps no script from ending
  const watchdog = setInterval(() => run?.checkTime(), WATCH_MS);
  let renewals: NodeJS.Timeout | undefined;
  try {
    await alive();
    const added = await store.jobs.addAside(queue, worker.claimsKey(0), job);
    if (typeof added === 'object') return added;
    const [started, at] = await worker
      .advance(redis, { ...request, handIns: [] })
      .then(reply => [reply.jobs[0], reply.at] as const);
    if (started === undefined) return undefined;
    const taken = new Run(store, started, { queue: queue.name, worker: name, at });
    run = taken;
    // what goes wrong here shows when the outcome is handed in
    renewals = setInterval(
      () => void Promise.all([alive(), worker.renew(redis, [started])]).catch(() => {}),
      (LEASE * 1000) / 3,
    );
    const table = new Map([...callbacks, [call.functionName, fn]]);
    const ended = await new Promise<Outcome>(resolve => perform(taken, table, {}, resolve));
    if (typeof ended === 'string') return undefined;
    const handIns = [{ ...started, ended, seconds: taken.seconds }];
    const { answers } = await worker.advance(redis, { ...request, want: 0, handIns });
    if (answers[0] !== 'accepted') return undefined;
    await callbackOf(taken, ended)
      ?.call(table)
      .catch((error: unknown) => process.emitWarning(`Job ${job.id}: ${messageOf(error)}`));
    return ended.status;
  } finally {
    clearInterval(renewals);
    await worker.unregister(redis).finally(() => clearInterval(watchdog));
  }
}
