/** What a worker asks with `advance`, and what it is answered. */
import { runSuffix } from './lua/advance.ts';
import type { HandIn, RunRef } from './outcome.ts';
import { unpackJobs } from './packed-jobs.ts';
import type { Fields } from './record.ts';

/** The order in which queues are taken from: strictly as given, each in turn, by chance, or by chance with weights. */
export type DequeueStrategy = 'default' | 'round_robin' | 'random' | 'weighted';

export interface AdvanceRequest {
  readonly handIns: readonly HandIn[];
  /** Most jobs to take; `claims` for one of the claims, and none of what waits on the queues. */
  readonly want: number | 'claims';
  /** Places of the queues where a blocking read took something. */
  readonly claims: ReadonlySet<number>;
  readonly strategy: DequeueStrategy;
  /** No other call that takes jobs is under way, nor will be until the reply. */
  readonly single?: boolean;
}

/**
 * What became of an outcome: accepted as the job's end; or, a failure, with a retry that is queued or scheduled now;
 * refused as the run is not the job's; or not looked at, as a key of the queue has the wrong type.
 */
export type Answer = 'refused' | 'accepted' | 'queued' | 'scheduled' | 'wrong type';
const ANSWERS: readonly Answer[] = ['refused', 'accepted', 'queued', 'scheduled'];

export interface AdvanceReply {
  /** For each outcome handed in. */
  readonly answers: readonly Answer[];
  readonly jobs: readonly (RunRef & { readonly fields: Fields })[];
  /** Ids that were taken off a list without a run, and what was found. */
  readonly dropped: readonly { readonly place: number; readonly id: string; readonly reason: string }[];
  /** Places of the queues that have a key of the wrong type: nothing can be taken from them. */
  readonly unusable: readonly number[];
  /**
   * Queues that nothing may be taken from: for so many milliseconds, where as many jobs began as a rate allows, and so many
   * wait; 0 for a queue that is paused.
   */
  readonly closed: readonly { readonly place: number; readonly ms: number; readonly waiting: number }[];
  /** When the jobs were started, by Redis' clock, in RQ's form. */
  readonly at: string;
  /**
   * Whether the one job taken is on probation, lost so often that nothing should be started beside it for a while; or one is
   * next, which a `single` call is given.
   */
  readonly probation: 'none' | 'taken' | 'ahead';
  /** Whether there may be more to take now, or work is suspended. */
  readonly more: 'yes' | 'no' | 'suspended';
}

/** The script's reply, in its order. */
export type AdvanceAnswer = readonly [
  answers: number[] | number,
  jobs: Buffer,
  dropped: [number, Buffer, Buffer][],
  more: number,
  nextTurn: number,
  unusable: number[],
  at: Buffer,
  alone: number,
  closed: number[][],
];

export function nextTurnOf(answer: AdvanceAnswer): number {
  return answer[4];
}

/** `runPrefix` is what the execution ids of the call begin with. */
export function toReply(
  [answers, jobs, dropped, more, , unusable, at, alone, closed]: AdvanceAnswer,
  runPrefix: string,
): AdvanceReply {
  return {
    answers:
      typeof answers === 'number'
        ? Array<Answer>(answers).fill('accepted')
        : answers.map(answer => ANSWERS[answer] ?? 'wrong type'),
    jobs: unpackJobs(jobs).map(({ queue, jobId, fields }, i) => ({
      place: queue - 1,
      jobId,
      executionId: runPrefix + runSuffix(i),
      fields,
    })),
    dropped: dropped.map(([queue, id, reason]) => ({
      place: queue - 1,
      id: id.toString(),
      reason: reason.toString(),
    })),
    unusable: unusable.map(queue => queue - 1),
    closed: closed.map(([queue = 0, ms = 0, waiting = 0]) => ({ place: queue - 1, ms, waiting })),
    at: at.toString(),
    probation: alone === 0 ? 'none' : alone === 1 ? 'taken' : 'ahead',
    more: more === 0 ? 'no' : more === 1 ? 'yes' : 'suspended',
  };
}
