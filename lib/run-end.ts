/** What is handed in for a run that is over: its result or its error, how long that is kept, and what follows. */
import { deflateSync } from 'node:zlib';
import { FAILURE_TTL, PUBLISH_LIMIT, RESULT_LIMIT, RESULT_TTL } from './defaults.ts';
import { InvalidResultError } from './errors.ts';
import { toJson } from './json.ts';
import { messageOf } from './options.ts';
import type { Ended } from './outcome.ts';
import { textOf, wholeNumberOf, type CallRecord, type Fields } from './record.ts';
import { errorText } from './remote-error.ts';
import { whatFollows } from './retry.ts';

interface EndedRun {
  readonly jobId: string;
  readonly fields: Fields;
  readonly call: CallRecord;
  /** Whether Python wrote it, compressed: then the answer is in its dialect as well. */
  readonly pythons: boolean;
}

/** `resultTtl` counts where the job does not say how long its result is kept. */
export function finished(run: EndedRun, value: unknown, resultTtl: number | undefined): Ended {
  let text: string;
  try {
    text = value === undefined ? 'null' : toJson(value, 'result');
  } catch (error) {
    return failed(
      run,
      new InvalidResultError(run.jobId, run.call.functionName, `is not JSON: ${messageOf(error)}`),
    );
  }
  if (text.length > RESULT_LIMIT) {
    const what = `is too long: ${text.length} characters of JSON, and ${RESULT_LIMIT} at most are kept`;
    return failed(run, new InvalidResultError(run.jobId, run.call.functionName, what));
  }
  return {
    status: 'finished',
    ttl: wholeNumberOf(run.jobId, run.fields, 'result_ttl') ?? resultTtl ?? RESULT_TTL,
    text,
    stream: run.pythons ? Buffer.from(text).toString('base64') : '',
    publish: text.length <= PUBLISH_LIMIT,
    again: Number(textOf(run.fields, 'repeats_left')) > 0 ? 'repeat' : '',
    shares: sharesOf(run),
  };
}

export function failed(run: EndedRun, error: unknown, status: 'failed' | 'stopped' = 'failed'): Ended {
  const text = errorText(error);
  let ttl = FAILURE_TTL;
  try {
    ttl = wholeNumberOf(run.jobId, run.fields, 'failure_ttl') ?? ttl;
  } catch {
    // that field may be the very reason why the job fails
  }
  const stream = run.pythons ? deflateSync(text).toString('base64') : '';
  const again = status === 'failed' ? whatFollows(error, run.fields) : '';
  return { status, ttl, text, stream, publish: false, again, shares: sharesOf(run), error };
}

/** The key whose slot it took; '' for none. */
function sharesOf(run: EndedRun): string {
  return textOf(run.fields, 'limit_key') ?? '';
}
