/** What a worker tells those who listen. */
import type { CallbackOption } from '../callback.ts';
import type { CronJob } from '../cron.ts';
import { textOf, timeOf } from '../record.ts';
import type { Run } from '../run.ts';

/** A job, as the events name it. */
export interface JobEvent {
  readonly jobId: string;
  readonly queue: string;
  readonly executionId: string;
  /** The name of the function it calls; '' where its data can't be read. */
  readonly functionName: string;
  /** What it says of itself: `sum([42, 43])`. */
  readonly description: string;
  /** Seconds that it waited on its queue, by Redis' clock; `undefined` where its hash does not say since when. */
  readonly waited: number | undefined;
}

export interface JobEndEvent extends JobEvent {
  /** How long it ran, in seconds. */
  readonly seconds: number;
  /** How long it is kept, in seconds: -1 for ever, 0 not at all. */
  readonly ttl: number;
}

export interface JobFailedEvent extends JobEndEvent {
  /** What was thrown, and its text as it was stored. */
  readonly error: unknown;
  readonly text: string;
}

/** A callback that threw, took too long, or is not registered. */
export interface FailedCallback {
  readonly option: CallbackOption;
  /** The name its function was to be called by. */
  readonly name: string;
  readonly error: unknown;
}

/** Events of a `Worker`, with what their listeners are called with. */
export interface WorkerEvents {
  /** Redis can't be reached; the worker goes on trying. */
  disconnected: [error: Error];
  reconnected: [];
  /** Registered in Redis. */
  started: [name: string];
  /** Commands are taken on this channel. */
  subscribing: [channel: string];
  listening: [queues: readonly string[]];
  /** Metrics and health are served at this URL. */
  serving: [url: string];
  /** The first round of the janitor begins on a queue. */
  cleaning: [queue: string];
  jobStarted: [job: JobEvent];
  /** Its result was stored. */
  jobFinished: [job: JobEndEvent];
  jobFailed: [job: JobFailedEvent];
  /** It failed, and is queued again now, or scheduled for a later time. */
  jobRetried: [job: JobFailedEvent, when: 'queued' | 'scheduled'];
  jobStopped: [job: JobEndEvent];
  /** One of its callbacks failed: the job is what it was. */
  callbackFailed: [job: JobEvent, callback: FailedCallback];
  /** It went back to the front of its queue, because the worker stops. */
  jobReturned: [job: JobEvent];
  /** This run is not the job's any more: what it came to was not kept. */
  jobLost: [job: JobEvent];
  /** Its time is over and its slot was given up, but its function goes on. */
  jobOverdue: [job: JobEvent];
  /** An id was taken off the queue that no job can be run for. */
  jobDropped: [drop: { readonly jobId: string; readonly queue: string; readonly reason: string }];
  /** Jobs of dead workers went back to the queue. */
  recovered: [queue: string, jobIds: readonly string[]];
  /** Jobs were lost to dead workers too often, and failed. */
  abandoned: [queue: string, jobIds: readonly string[]];
  /** A cron that the worker was given is set. */
  cronSet: [cron: CronJob];
  /** The job of a cron was queued, as its time came. */
  cronQueued: [cron: { readonly name: string; readonly queue: string; readonly jobId: string }];
  /** Work is suspended (`rq suspend`), and goes on. */
  suspended: [];
  resumed: [];
  /** One queue is paused (`queue.pause()`), and goes on. */
  queuePaused: [queue: string];
  queueResumed: [queue: string];
  warning: [text: string];
  /** Something went wrong that the worker gets over. Not emitted where nobody listens. */
  error: [error: Error];
  stopping: [kind: 'warm' | 'cold'];
  stopped: [];
}

/** An event about a run; what has to be decoded for it is decoded when somebody asks. */
export class RunEvent implements JobFailedEvent {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  get jobId(): string {
    return this.#run.jobId;
  }
  get queue(): string {
    return this.#run.queue;
  }
  get executionId(): string {
    return this.#run.executionId;
  }
  get functionName(): string {
    try {
      return this.#run.call.functionName;
    } catch {
      // it fails for just that
      return '';
    }
  }
  get description(): string {
    return textOf(this.#run.fields, 'description') ?? this.functionName;
  }
  get waited(): number | undefined {
    const since = timeOf(this.#run.fields, 'enqueued_at');
    const seconds = since === undefined ? NaN : (Date.parse(this.#run.startedAt) - since.getTime()) / 1000;
    return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
  }
  get seconds(): number {
    return this.#run.seconds;
  }
  get ttl(): number {
    return this.#run.ended?.ttl ?? 0;
  }
  get error(): unknown {
    return this.#run.ended?.error;
  }
  get text(): string {
    const { ended } = this.#run;
    return ended === undefined || ended.status === 'finished' ? '' : ended.text;
  }
}
