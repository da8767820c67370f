/** How many jobs a worker may take ahead of free slots because they begin in a moment. */
import { MOMENT_MS, MOST_AHEAD } from '../defaults.ts';

/** What the longest run of late weighs still after the next one. */
const FADES = 0.95;

/**
 * A worker with few slots and short jobs spends its time with calls to Redis, not with jobs: so it takes along what its
 * longest run of late says is begun within a moment, and nothing while runs are longer than that.
 */
export class Pace {
  /** Nothing is taken ahead before some tens of runs were short. */
  #longestMs: number = 20 * MOMENT_MS;

  get ahead(): number {
    return Math.min(MOST_AHEAD, Math.floor(MOMENT_MS / this.#longestMs));
  }

  /** A run took, or takes already, so many milliseconds. */
  note(ms: number): void {
    this.#longestMs = Math.max(ms, this.#longestMs * FADES);
  }
}
