/** The job that the calling code runs for. */
import { objectJson } from './enqueue-options.ts';
import { Job } from './job.ts';
import type { Progress } from './progress.ts';
import type { Fields } from './record.ts';
import { currentRun, type Run } from './run.ts';

/** A job from within its function. */
export class CurrentJob extends Job {
  /** Which of the job's runs this is. */
  readonly executionId: string;
  readonly #run: Run;

  constructor(run: Run) {
    super(run.store, run.jobId, new StartedFields(run));
    this.#run = run;
    this.executionId = run.executionId;
  }

  /**
   * Aborted when the job is to end early; its `reason` says why: a `JobTimeoutError`, `StopRequestedError`,
   * `ShutdownError` or `LeaseLostError`; in a callback a `CallbackTimeoutError`. Hand it to `fetch`, timers and whatever else takes a signal.
   */
  get signal(): AbortSignal {
    return this.#run.signal;
  }

  /**
   * Says how far the job is, from 0 to 1, and in words (cut to 1,000 characters): kept in Redis, and told in `statuses()`.
   * Four times a second at most; the last one is sent in any case. What can't be sent is logged, and is no error of
   * the job's. Without a value, what was said last.
   * @throws {RangeError} for a value that is not from 0 to 1.
   */
  override progress(): Progress | undefined;
  override progress(value: number, text?: string): void;
  override progress(...said: [value?: number, text?: string]): unknown {
    const { reporter } = this.#run;
    if (said.length === 0) return reporter.last ?? super.progress();
    reporter.report(said[0] as number, said[1]);
    return undefined;
  }

  /** Writes `meta`, and tells it in `statuses()`. @throws {NoSuchJobError} where the job is gone; {TypeError} where it is not JSON. */
  override async saveMeta(): Promise<void> {
    await this.#run.store.saveMeta(this.id, objectJson(this.meta, 'meta'), this.#run);
  }
}

/** A job's fields as the start of this run left them. */
class StartedFields implements Fields {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  get(name: string): Buffer | string | undefined {
    switch (name) {
      case 'status':
        return this.#run.ended?.status ?? 'started';
      case 'started_at':
        return this.#run.startedAt;
      case 'worker_name':
        return this.#run.worker;
      case 'ended_at':
        return undefined;
      default:
        return this.#run.fields.get(name);
    }
  }
}

const jobs: WeakMap<Run, CurrentJob> = new WeakMap();

/** A job as its callback gets it, which runs as `after`: with the `meta` that the job's function left. */
export function jobAfter(run: Run, after: Run): CurrentJob {
  const job = new CurrentJob(after);
  const before = jobs.get(run);
  if (before !== undefined) job.meta = before.meta;
  jobs.set(after, job);
  return job;
}

/** The job whose function is calling, however deep in asynchronous calls; `undefined` outside of one. */
export function getCurrentJob(): CurrentJob | undefined {
  const run = currentRun();
  if (run === undefined) return undefined;
  let job = jobs.get(run);
  if (job === undefined) jobs.set(run, (job = new CurrentJob(run)));
  return job;
}
