/** What a run is known by, and what it came to: plain records, and as a script takes them. */
import type { Argument } from './script.ts';

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
   * What follows. After a failure: `plan`, the retries that the job's hash holds; `never`; or `<seconds>/<most>`, a run after so
   * many seconds unless it has asked so often already. `repeat` where a job that finished may run again. '' for other ends.
   */
  readonly again: string;
  /** The key whose slot the run took; '' or nothing for none. */
  readonly shares?: string;
  /** What was thrown, where it did not finish. */
  readonly error?: unknown;
}

/** What a worker hands in for a run that has ended. */
export interface HandIn extends RunRef {
  readonly ended: Ended;
  /** How long it ran. */
  readonly seconds: number;
}

/** Outcomes as the script takes them: neighbours that are alike share what they have in common. */
export function inGroups(handIns: readonly HandIn[]): Argument[] {
  const all: Argument[] = [];
  let counted = 0;
  let last: HandIn | undefined;
  for (const handIn of handIns) {
    const { place, jobId, executionId, ended } = handIn;
    const { status, ttl, text, stream, publish, again, shares = '' } = ended;
    const alike =
      last !== undefined &&
      last.place === place &&
      last.ended.status === status &&
      last.ended.ttl === ttl &&
      last.ended.publish === publish &&
      last.ended.again === again &&
      (last.ended.shares ?? '') === shares &&
      (last.ended.stream === '') === (stream === '');
    if (alike) all[counted] = (all[counted] as number) + 1;
    else {
      counted = all.length;
      all.push(1, place + 1, status, ttl, publish ? '1' : '0', stream === '' ? '0' : '1', again, shares);
    }
    all.push(jobId, executionId, text);
    if (stream !== '') all.push(stream, handIn.seconds);
    last = handIn;
  }
  return all;
}
