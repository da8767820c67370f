/** The call of a job's callback, in the place where the job ran. */
import { CALLBACKS, type CallbackOption } from './callback.ts';
import { jobAfter, type CurrentJob } from './current-job.ts';
import { CALLBACK_TIMEOUT } from './defaults.ts';
import { timerMs } from './duration.ts';
import { CallbackTimeoutError, FunctionNotRegisteredError, InvalidJobError } from './errors.ts';
import type { FunctionTable } from './functions.ts';
import type { Ended } from './outcome.ts';
import { isObject, textOf } from './record.ts';
import { Run, withinRun } from './run.ts';

const KINDS = { finished: 'success', failed: 'failure', stopped: 'stopped' } as const;

/** The callback for how a run ended; `undefined` where the job has none for it. */
export function callbackOf(run: Run, ended: Ended): CallbackRun | undefined {
  const text = textOf(run.fields, 'callbacks');
  if (text === undefined) return undefined;
  const kind = KINDS[ended.status];
  let plan: unknown;
  try {
    plan = JSON.parse(text);
  } catch {
    // it is said when it is called
  }
  const given = isObject(plan) ? plan[kind] : text;
  if (given === undefined || given === null) return undefined;
  const { name, timeout } = isObject(given) ? given : {};
  return new CallbackRun(
    run,
    ended,
    CALLBACKS[kind],
    typeof name === 'string' ? name : '',
    typeof timeout === 'number' && timeout > 0 ? timeout : CALLBACK_TIMEOUT,
  );
}

export class CallbackRun {
  readonly option: CallbackOption;
  /** The name its function is registered under; '' where the job does not say. */
  readonly name: string;
  readonly #timeout: number;
  readonly #ended: Ended;
  /** A run of its own: the signal of the job's may be aborted long since. */
  readonly #run: Run;
  readonly #job: CurrentJob;

  constructor(run: Run, ended: Ended, option: CallbackOption, name: string, timeout: number) {
    this.option = option;
    this.name = name;
    this.#timeout = timeout;
    this.#ended = ended;
    this.#run = new Run(run.store, run, { queue: run.queue, worker: run.worker, at: run.startedAt });
    this.#run.ended = ended;
    this.#job = jobAfter(run, this.#run);
  }

  /** Resolves when the function has ended; rejects with what went wrong. */
  async call(functions: FunctionTable): Promise<void> {
    const { jobId } = this.#run;
    if (this.name === '') throw new InvalidJobError(jobId, 'its field callbacks names no function');
    const fn = functions.get(this.name);
    if (fn === undefined) {
      throw new FunctionNotRegisteredError(jobId, this.name, [...functions.keys()].toSorted());
    }
    const { status, text, error } = this.#ended;
    const args: unknown[] = [this.#job];
    if (status === 'finished') args.push(JSON.parse(text));
    else if (status === 'failed') args.push(error);
    const { signal } = this.#run;
    signal.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    const late = new CallbackTimeoutError(jobId, this.name, this.#timeout);
    const timer = setTimeout(() => this.#run.abort(late), timerMs(this.#timeout));
    try {
      await Promise.race([withinRun(this.#run, fn, args), aborted]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Has it wait no longer for its function. */
  leave(): void {
    this.#run.abort(new CallbackTimeoutError(this.#run.jobId, this.name));
  }
}
