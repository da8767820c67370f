/** What a run is known by, and what it came to: plain records. */

/** A run that the worker knows of. */
export interface RunRef {
  /** The queue's place among the worker's, from 0. */
  readonly place: number;
  readonly jobId: string;
  readonly executionId: string;
}

/** What a run came to: an end that is handed in, `returned` where the job goes back, `lost` where it is another's now. */
export type Outcome = Ended | 'returned' | 'lost';

export interface Ended {
  readonly status: 'finished' | 'failed' | 'stopped';
  /** Seconds to keep it: -1 for ever, 0 not at all. */
  readonly ttl: number;
  /** The result's JSON text, or the error's text. */
  readonly text: string;
  /** What Python's result stream gets; '' where none is written. */
  readonly stream: string;
  /** Whether the result is short enough to go with the status message. */
  readonly publish: boolean;
  /**
   * What follows a failure: `plan`, the retries that the job's hash holds; `never`; or `<seconds>/<most>`, a run after so
   * many seconds unless it has asked so often already. '' for other ends.
   */
  readonly again: string;
  /** What was thrown, where it did not finish. */
  readonly error?: unknown;
}

/** What a worker hands in for a run that has ended. */
export interface HandIn extends RunRef {
  readonly ended: Ended;
  /** How long it ran. */
  readonly seconds: number;
}
