/** The job that the calling code runs for. */
import { Job } from './job.ts';
import { currentRun, type Run } from './run.ts';

/** A job from within its function. */
export class CurrentJob extends Job {
  /** Which of the job's runs this is. */
  readonly executionId: string;
  readonly #run: Run;

  constructor(run: Run) {
    super(run.store, run.jobId, run.fields);
    this.#run = run;
    this.executionId = run.executionId;
  }

  /**
   * Aborted when the job is to end early; its `reason` says why: a `JobTimeoutError`, `StopRequestedError`,
   * `ShutdownError` or `LeaseLostError`. Hand it to `fetch`, timers and whatever else takes a signal.
   */
  get signal(): AbortSignal {
    return this.#run.signal;
  }
}

const jobs: WeakMap<Run, CurrentJob> = new WeakMap();

/** The job whose function is calling, however deep in asynchronous calls; `undefined` outside of one. */
export function getCurrentJob(): CurrentJob | undefined {
  const run = currentRun();
  if (run === undefined) return undefined;
  let job = jobs.get(run);
  if (job === undefined) jobs.set(run, (job = new CurrentJob(run)));
  return job;
}
