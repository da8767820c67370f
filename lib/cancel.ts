/** How a job is kept from running, alone or with all that wait for it. */
import { InvalidJobOperationError, NoSuchJobError } from './errors.ts';
import type { Store, Taken } from './store.ts';

const CANCELABLE: ReadonlySet<string> = new Set(['queued', 'started', 'deferred', 'scheduled', 'canceled']);

export interface CancelOptions {
  /**
   * Whether the jobs that wait for this one wait for it no more, as in RQ: a Node worker, on whatever queue, sees to it
   * within a second. One that takes its result fails then. Default: false, they wait on, as it may be requeued.
   */
  readonly enqueueDependents?: boolean;
  /** Whether the jobs that wait for it, be it through others, are canceled as well, on all queues. Default: false. */
  readonly cancelDependents?: boolean;
}

/** @throws {InvalidJobOperationError} where it has ended otherwise; {NoSuchJobError} where it is gone. */
export async function cancelOne(store: Store, id: string, queue: string, release: boolean): Promise<void> {
  const taken = await store.cancel(id, queue, release);
  if (taken.was === 'gone') throw new NoSuchJobError(id);
  if (!CANCELABLE.has(taken.was))
    throw new InvalidJobOperationError(id, `Job ${id} can't be canceled: it is ${taken.was}`);
  await interrupt(store, taken);
}

/**
 * From the top down, so that none of them starts meanwhile; what has ended, or is gone, is passed over. Answers whether the job
 * itself is canceled: those who wait for one that failed, or was stopped, can be cleared away as well.
 * @throws {NoSuchJobError}
 */
export async function cancelAll(store: Store, id: string, queue: string): Promise<boolean> {
  const top = await store.cancel(id, queue, false);
  if (top.was === 'gone') throw new NoSuchJobError(id);
  await interrupt(store, top);
  const seen = new Set([id]);
  let level = [id];
  while (level.length > 0) {
    const below = (await Promise.all(level.map(each => store.dependents(each)))).flat();
    level = below.filter(each => !seen.has(each) && seen.add(each));
    const taken = await Promise.all(level.map(each => store.cancel(each, queue, false)));
    await Promise.all(taken.map(one => interrupt(store, one)));
  }
  return CANCELABLE.has(top.was);
}

/** Tells the worker of a run that was fenced off, which else notices when it renews the lease. */
export async function interrupt(store: Store, { was, worker, executionId }: Taken): Promise<void> {
  if (was !== 'started' || worker === '' || !executionId.startsWith('n')) return;
  await store.command(worker, { command: 'drop-execution', execution_id: executionId }).catch(() => 0);
}
