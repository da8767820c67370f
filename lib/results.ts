/** What came of each run of a job: read from its hash, which holds our runs, and from its result stream, which holds Python's. */
import { InvalidJobError } from './errors.ts';
import type { RemoteError } from './errors.ts';
import { errorTextOf, isObject, statusOf, textOf, timeOf, toFields, type Fields } from './record.ts';
import { parseErrorText } from './remote-error.ts';

/** What came of one run, in RQ's words. */
export interface JobResult {
  /**
   * `failed` also where another run followed. Python's runs may be `retried` as well (the function asked to run again), or
   * `max_retries_exceeded` (it asked too often).
   */
  readonly type: 'successful' | 'failed' | 'stopped' | 'retried' | 'max_retries_exceeded';
  /** When the run ended. */
  readonly createdAt: Date | undefined;
  readonly workerName: string;
  /** '' where it is not known. */
  readonly executionId: string;
  /** What the function gave, of a run that was successful. */
  readonly returnValue?: unknown;
  /** What it threw, of another one. Of our earlier runs the first 4096 bytes of the text are kept. */
  readonly error?: RemoteError;
}

/** An entry of a stream: its id, and names and values in turn. */
export type StreamEntry = readonly [id: Buffer, fields: readonly Buffer[]];

/** RQ's `Result.Type`, from 1. */
const TYPES = ['successful', 'failed', 'stopped', 'retried', 'max_retries_exceeded'] as const;
const ENDS: Readonly<Record<string, JobResult['type']>> = {
  finished: 'successful',
  failed: 'failed',
  stopped: 'stopped',
};

/** The newest first. A run that is told of in both places stands once. @throws {InvalidJobError} for a result that is not JSON. */
export function resultsOf(jobId: string, hash: Fields, entries: readonly StreamEntry[]): JobResult[] {
  const streamed = entries.map(entry => fromStream(jobId, entry));
  const known = new Set(streamed.map(({ executionId }) => executionId).filter(id => id !== ''));
  const own = [...earlier(hash), ...latest(jobId, hash, streamed)].filter(
    ({ executionId }) => !known.has(executionId),
  );
  const time = ({ createdAt }: JobResult): number => createdAt?.getTime() ?? 0;
  // the last of the hash's is the newest: a stable sort keeps that where two ended in one millisecond
  return [...streamed, ...own.toReversed()].toSorted((a, b) => time(b) - time(a));
}

function fromStream(jobId: string, [id, flat]: StreamEntry): JobResult {
  const fields = toFields(flat);
  const type = TYPES[Number(textOf(fields, 'type')) - 1] ?? 'failed';
  const base = {
    type,
    createdAt: new Date(Number(id.toString().split('-')[0])),
    workerName: textOf(fields, 'worker_name') ?? '',
    executionId: textOf(fields, 'execution_id') ?? '',
  };
  const value = textOf(fields, 'return_value');
  const error = textOf(fields, 'exc_string');
  if (type === 'successful')
    return { ...base, returnValue: valueOf(jobId, value && Buffer.from(value, 'base64').toString()) };
  const text = error === undefined ? '' : (errorTextOf(Buffer.from(error, 'base64')) ?? '');
  return text === '' ? base : { ...base, error: parseErrorText(text) };
}

/** The runs whose error is in the list `errors`. */
function earlier(hash: Fields): JobResult[] {
  let errors: unknown;
  try {
    errors = JSON.parse(textOf(hash, 'errors') ?? '[]');
  } catch {
    // somebody else's field of that name
    return [];
  }
  if (!Array.isArray(errors)) return [];
  return errors.filter(isObject).map(({ at, worker, error, run }) => ({
    type: String(error).startsWith('StopRequestedError') ? 'stopped' : 'failed',
    createdAt: timeOf(toFields(['at', Buffer.from(String(at))]), 'at'),
    workerName: typeof worker === 'string' ? worker : '',
    executionId: typeof run === 'string' ? run : '',
    error: parseErrorText(String(error)),
  }));
}

/** The run that the hash itself tells of, where it has ended, and the stream does not tell of it. */
function latest(jobId: string, hash: Fields, streamed: readonly JobResult[]): JobResult[] {
  const type = ENDS[statusOf(hash) ?? ''];
  if (type === undefined) return [];
  const base = {
    type,
    createdAt: timeOf(hash, 'ended_at'),
    workerName: textOf(hash, 'worker_name') ?? '',
    executionId: textOf(hash, 'execution_id') ?? '',
  };
  // Python writes an empty text as a compressed one
  const error = errorTextOf(hash.get('exc_info')) || undefined;
  const text = textOf(hash, 'result');
  // Python's own end is in the stream alone, and the hash may still name a run of ours from before
  if ((type === 'successful' ? text : error) === undefined && streamed.length > 0) return [];
  if (type === 'successful') return [{ ...base, returnValue: valueOf(jobId, text) }];
  return error === undefined ? [base] : [{ ...base, error: parseErrorText(error) }];
}

/** A function that gave nothing gave `null`. */
function valueOf(jobId: string, text: string | undefined): unknown {
  if (text === undefined || text === '') return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidJobError(jobId, 'its result is not JSON', { cause });
  }
}
