/** What came of a job, as its state tells. */
import {
  DependencyFailedError,
  InvalidJobError,
  JobCanceledError,
  JobFailedError,
  JobStoppedError,
} from './errors.ts';
import { parseErrorText } from './remote-error.ts';
import type { JobState, Store } from './store.ts';

export const ENDED: ReadonlySet<string> = new Set(['finished', 'failed', 'stopped', 'canceled']);
/** How often a look at the jobs above one goes on, each time past a thousand of them. */
const ROOT_STEPS = 100;

/** What came of the job, or `undefined` while it has not ended. */
export function outcomeOf(
  id: string,
  { status, result, error }: JobState,
): { readonly value: unknown } | undefined {
  switch (status) {
    case 'finished':
      if (result === undefined) return { value: null };
      try {
        return { value: JSON.parse(result) as unknown };
      } catch (cause) {
        throw new InvalidJobError(id, 'its result is not JSON', { cause });
      }
    case 'failed':
      throw new JobFailedError(id, parseErrorText(error ?? ''));
    case 'stopped':
      throw new JobStoppedError(id);
    case 'canceled':
      throw new JobCanceledError(id);
    default:
      return undefined;
  }
}

/** @throws {DependencyFailedError} where the job is deferred, and will be until somebody brings another one back. */
export async function checkRoot(store: Store, id: string, { root }: JobState): Promise<void> {
  let above = root;
  for (let steps = 0; above !== undefined && steps < ROOT_STEPS; steps++) {
    const state = await store.state(above.id);
    if (above.status !== 'deferred') {
      const remote = state?.status === 'failed' ? parseErrorText(state.error ?? '') : undefined;
      throw new DependencyFailedError(id, above.id, above.status, remote);
    }
    // the look ended half-way up
    above = state?.root;
  }
}
