/** The runs under way, at most as many as a worker has slots. */
import type { Run } from '../run.ts';

/**
 * An array with a stack of its free places: a `Map` that jobs are put in and taken from all the time is made anew every
 * few jobs, and its old tables, once they are old to the garbage collector, keep every job alive that they held: it took
 * a quarter of the worker's time at concurrency 100, now an insignificant part.
 */
export class Slots {
  readonly #runs: (Run | undefined)[] = [];
  readonly #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(run: Run): void {
    const slot = this.#free.pop() ?? this.#runs.length;
    this.#runs[slot] = run;
    run.slot = slot;
    this.#size++;
  }

  remove(run: Run): void {
    this.#runs[run.slot] = undefined;
    this.#free.push(run.slot);
    this.#size--;
  }

  /** A copy, so that runs may end meanwhile. */
  all(): Run[] {
    return this.#runs.filter(run => run !== undefined);
  }
}
