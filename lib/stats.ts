/** A queue's backlog: how long it is, how old, and whether it grows. */
import { timeOf } from './record.ts';

export interface QueueStats {
  /** Jobs that wait. */
  readonly length: number;
  /** Seconds that the next one has waited; 0 where none waits. */
  readonly oldestAge: number;
  /**
   * Jobs a second that came, and that were taken, over the last minute, or as much of it as workers have seen: `undefined`
   * where none has listened to the queue for long enough.
   */
  readonly arrivals: number | undefined;
  readonly departures: number | undefined;
}

/** What Redis told of a queue, by its own clock. */
export interface StatsRecord {
  readonly now: number;
  readonly length: number;
  readonly taken: number;
  readonly oldest: string;
  /** `<unix seconds> <length> <taken>`, the newest first. */
  readonly samples: readonly string[];
}

/** Seconds that rates are taken over, and the fewest that give one. */
const MOST = 65;
const LEAST = 4;

export function statsOf({ now, length, taken, oldest, samples }: StatsRecord): QueueStats {
  const since = timeOf(new Map([['at', Buffer.from(oldest)]]), 'at');
  const oldestAge = since === undefined ? 0 : Math.max(0, now - since.getTime() / 1000);
  const first = samples
    .map(sample => sample.split(' ').map(Number) as [at: number, length: number, taken: number])
    .findLast(([at]) => now - at <= MOST && now - at >= LEAST);
  if (first === undefined || first.some(Number.isNaN)) {
    return { length, oldestAge, arrivals: undefined, departures: undefined };
  }
  const [at, lengthThen, takenThen] = first;
  const departures = Math.max(0, taken - takenThen) / (now - at);
  const arrivals = Math.max(0, length - lengthThen + (taken - takenThen)) / (now - at);
  return { length, oldestAge, arrivals, departures };
}
