/** Every error the library raises on purpose: one base class, each with a stable `code`. */
import type { JobStatus } from './record.ts';

/** The base of all errors below. Branch on `code` (stable across versions) or on the class, never on the message. */
export class RqError extends Error {
  /** A stable, machine-readable name, such as `RQ_JOB_FAILED`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Redis could not be reached within the deadline. What was asked was **not sent**: nothing has changed. */
export class ConnectionError extends RqError {
  constructor(message: string, options?: ErrorOptions) {
    super('RQ_CONNECTION', message, options);
  }
}

/**
 * A change was sent to Redis and no reply came within the deadline: it may or may not have taken place.
 * An `enqueue` that ended so can be repeated with the same `jobId`: as long as the job has not ended, it is not added twice.
 */
export class OutcomeUnknownError extends RqError {
  /** The job that `enqueue` was to add, also where its id was generated: whether it is there, `fetchJob` tells. */
  readonly jobId: string | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly jobId?: string }) {
    super('RQ_OUTCOME_UNKNOWN', message, options);
    this.jobId = options?.jobId;
  }
}

/** Redis answered with an error of its own: out of memory, no permission, a key of the wrong type, … */
export class RedisRefusedError extends RqError {
  constructor(message: string, options?: ErrorOptions) {
    super('RQ_REDIS_REFUSED', message, options);
  }
}

/** A Redis whose version or settings can't keep the promises made; the message names the setting to change. */
export class RedisSettingError extends RqError {
  constructor(message: string) {
    super('RQ_REDIS_SETTING', message);
  }
}

/** A living worker has this name: two of one name would share their claims and their registration. */
export class WorkerNameTakenError extends RqError {
  constructor(name: string) {
    super(
      'RQ_WORKER_NAME_TAKEN',
      `There is an active worker named ${name}: give this one another name, or none`,
    );
  }
}

/** An error about one job. */
export class JobError extends RqError {
  readonly jobId: string;

  constructor(code: string, jobId: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.jobId = jobId;
  }
}

/** No hash of this id exists: it expired, was deleted, or never was. */
export class NoSuchJobError extends JobError {
  constructor(jobId: string) {
    super(
      'RQ_NO_SUCH_JOB',
      jobId,
      `No job ${jobId}: it expired (ttl, resultTtl, failureTtl), was deleted, or never was`,
    );
  }
}

/**
 * `enqueue` with a `jobId` whose job has not ended yet, or, with `unique: true`, exists; or of a `unique` call that is there.
 */
export class DuplicateJobError extends JobError {
  /** What the job that is there is doing; `gone` where only its time is not over yet (`unique.for`). */
  readonly status: string;

  constructor(jobId: string, status: string, by: 'id' | 'call' = 'id') {
    super(
      'RQ_DUPLICATE_JOB',
      jobId,
      by === 'id'
        ? `A job ${jobId} exists and is ${status}: use another jobId, or delete that job first`
        : `The same call was queued before, as job ${jobId}, which is ${status}: it is unique`,
    );
    this.status = status;
  }
}

/**
 * A job waits, be it through other jobs, for one that failed, was stopped or was canceled: requeue that one, and the job goes
 * on. Or it takes the result of one that is gone, or ended without a result: `enqueue` refuses it, or its run fails with this.
 */
export class DependencyFailedError extends JobError {
  /** The job that did not finish: the root of the trouble. */
  readonly dependencyId: string;
  /** What that job is: `failed`, `stopped`, `canceled`, `gone`, … */
  readonly status: JobStatus | 'gone';
  /** What it threw, where it failed. */
  readonly remote: RemoteError | undefined;

  constructor(jobId: string, dependencyId: string, status: JobStatus | 'gone', remote?: RemoteError) {
    const how = status === 'failed' ? 'failed' : status === 'gone' ? 'is gone' : `is ${status}`;
    const what = `needs job ${dependencyId}, which ${how}`;
    const said = remote === undefined ? '' : ` (${saidOf(remote)})`;
    super('RQ_DEPENDENCY_FAILED', jobId, `Job ${jobId} ${what}${said}`);
    this.dependencyId = dependencyId;
    this.status = status;
    this.remote = remote;
  }
}

/** `enqueue` of a job that was to wait for one that waits for it, be it through others: nothing was stored. */
export class DependencyCycleError extends JobError {
  /** The job that waits for it. */
  readonly dependencyId: string;

  constructor(jobId: string, dependencyId: string) {
    super(
      'RQ_DEPENDENCY_CYCLE',
      jobId,
      `Job ${jobId} can't wait for job ${dependencyId}, which waits for it already`,
    );
    this.dependencyId = dependencyId;
  }
}

/** What was asked is not possible in the state the job is in, such as requeueing one that runs. */
export class InvalidJobOperationError extends JobError {
  constructor(jobId: string, message: string) {
    super('RQ_INVALID_JOB_OPERATION', jobId, message);
  }
}

/** What a job's function threw, as it was stored. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  /** The whole text as stored: a JavaScript stack, or a Python traceback. */
  readonly stack: string;
}

function saidOf({ name, message }: RemoteError): string {
  return message === '' ? name : `${name}: ${message}`;
}

/** The job failed: its function threw, it ran out of time, or it could not be run at all. */
export class JobFailedError extends JobError {
  /** Name, message and stack of the error, as the worker stored it. */
  readonly remote: RemoteError;

  constructor(jobId: string, remote: RemoteError) {
    super('RQ_JOB_FAILED', jobId, `Job ${jobId} failed: ${saidOf(remote)}`);
    this.remote = remote;
  }
}

/** The job was stopped while it ran (`job.stop()`, or `send_stop_job_command` in Python). */
export class JobStoppedError extends JobError {
  constructor(jobId: string) {
    super('RQ_JOB_STOPPED', jobId, `Job ${jobId} was stopped`);
  }
}

/** The job was canceled; `requeue()` brings it back. */
export class JobCanceledError extends JobError {
  constructor(jobId: string) {
    super('RQ_JOB_CANCELED', jobId, `Job ${jobId} was canceled`);
  }
}

/** `wait()` gave up; the job itself goes on. */
export class WaitTimeoutError extends JobError {
  constructor(jobId: string, seconds: number, status: string) {
    super('RQ_WAIT_TIMEOUT', jobId, `Job ${jobId} had not ended after ${seconds} s: it is ${status}`);
  }
}

/** A job's hash that can't be read as a job: a pickle, broken JSON, a field of a wrong form. */
export class InvalidJobError extends JobError {
  /** `why` goes on after the job's id: "its data is not JSON". */
  constructor(jobId: string, why: string, options?: ErrorOptions) {
    super('RQ_INVALID_JOB', jobId, `Job ${jobId} is not valid: ${why}`, options);
  }
}

/** A worker was handed a job whose function it has not registered. */
export class FunctionNotRegisteredError extends JobError {
  constructor(jobId: string, functionName: string, registered: readonly string[]) {
    const known = registered.length === 0 ? 'none is' : `registered are: ${registered.join(', ')}`;
    super(
      'RQ_FUNCTION_NOT_REGISTERED',
      jobId,
      `Function '${functionName}' of job ${jobId} is not registered with this worker (${known})`,
    );
  }
}

/** A function gave back something that can't be kept: it is not JSON, or too long. */
export class InvalidResultError extends JobError {
  /** `what` goes on after the function: "is not JSON: result is a Date". */
  constructor(jobId: string, functionName: string, what: string) {
    super('RQ_INVALID_RESULT', jobId, `What ${functionName} of job ${jobId} returned ${what}`);
  }
}

/** The job ran longer than its `timeout`. Also the reason with which its `signal` is aborted. */
export class JobTimeoutError extends JobError {
  constructor(jobId: string, seconds: number) {
    super('RQ_JOB_TIMEOUT', jobId, `Job ${jobId} exceeded its timeout of ${seconds} s`);
  }
}

/** A job's callback took too long, by its own timeout or for a worker that stops. Also the reason of its `signal`. */
export class CallbackTimeoutError extends JobError {
  constructor(jobId: string, name: string, seconds?: number) {
    const what =
      seconds === undefined ? 'was not over when the worker stopped' : `exceeded its timeout of ${seconds} s`;
    super('RQ_CALLBACK_TIMEOUT', jobId, `Callback ${name} of job ${jobId} ${what}`);
  }
}

/**
 * The job ran longer than its `softTimeout`: the reason with which its `signal` is aborted while there is time left to
 * clean up, or to give back what there is. The run itself goes on until its `timeout`.
 */
export class JobSoftTimeoutError extends JobError {
  constructor(jobId: string, seconds: number) {
    super('RQ_JOB_SOFT_TIMEOUT', jobId, `Job ${jobId} exceeded its softTimeout of ${seconds} s`);
  }
}

/** The reason of a `signal` that is aborted because somebody asked the job to stop. */
export class StopRequestedError extends JobError {
  constructor(jobId: string) {
    super('RQ_STOP_REQUESTED', jobId, `Job ${jobId} was asked to stop`);
  }
}

/**
 * The reason of a `signal` that is aborted because the worker shuts down: the job goes back to its queue, or, with
 * `redeliver: false`, fails with this.
 */
export class ShutdownError extends JobError {
  constructor(jobId: string, redeliver: boolean = true) {
    const then = redeliver ? 'goes back to the front of its queue' : 'is not to be run again';
    super('RQ_SHUTDOWN', jobId, `The worker is shutting down: job ${jobId} ${then}`);
  }
}

/**
 * The reason of a `signal` that is aborted because this run is no longer the job's: it was canceled, deleted or
 * queued again meanwhile, or the worker was away for longer than its lease. What the function still gives is dropped.
 */
export class LeaseLostError extends JobError {
  constructor(jobId: string) {
    super('RQ_LEASE_LOST', jobId, `This run is not job ${jobId}’s any more: its outcome will not be kept`);
  }
}
