/** The results that a job takes as arguments, where Redis could not fill them in. */
import { DependencyFailedError } from './errors.ts';
import { parseCall, textOf, type CallRecord, type Fields } from './record.ts';
import { tokensIn, withResults } from './reference.ts';
import { parseErrorText } from './remote-error.ts';
import type { Store } from './store.ts';

/**
 * Reads the results that a job's `data` waits for still, and gives its call with them.
 * @throws {DependencyFailedError} where one of those jobs did not finish, or is gone.
 */
export async function fillIn(
  { jobId, fields, store }: { readonly jobId: string; readonly fields: Fields; readonly store: Store },
  data: string,
): Promise<CallRecord> {
  const allows = textOf(fields, 'allow_dependency_failures') === '1';
  const texts = new Map<string, string>();
  const fill = async (id: string): Promise<void> => {
    const kept = textOf(fields, `argument:${id}`);
    const state = kept === undefined ? await store.state(id) : undefined;
    if (kept !== undefined) texts.set(id, kept);
    else if (state?.status === 'finished') texts.set(id, state.result ?? 'null');
    else if (state?.status === 'failed' && allows) texts.set(id, 'null');
    else {
      const remote = state?.status === 'failed' ? parseErrorText(state.error ?? '') : undefined;
      throw new DependencyFailedError(jobId, id, state?.status ?? 'gone', remote);
    }
  };
  await Promise.all(tokensIn(data).map(fill));
  return parseCall(jobId, withResults(data, texts));
}
