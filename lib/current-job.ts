/** The job that the calling code runs for. */
import { Job } from './job.ts';
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
