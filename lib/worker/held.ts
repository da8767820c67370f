/** The runs that a worker holds: those in its slots, and those that were taken ahead and wait for one. */
import { WATCH_MS } from '../defaults.ts';
import { isRedeliverable } from '../retry.ts';
import type { Run } from '../run.ts';
import { Pace } from './pace.ts';
import { Slots } from './slots.ts';

export class Held {
  readonly #concurrency: number;
  readonly #prefetch: number | undefined;
  readonly #slots: Slots = new Slots();
  readonly #pace: Pace = new Pace();
  /** In the order in which they were taken; leased as if they ran. */
  #waiting: Run[] = [];
  /** Runs that have begun, and how many that were when `stale` was asked last. */
  #begun = 0;
  #begunBefore = 0;

  /** Without `prefetch` as many are taken ahead as begin in a moment. */
  constructor(concurrency: number, prefetch: number | undefined) {
    this.#concurrency = concurrency;
    this.#prefetch = prefetch;
  }

  /** Number of runs in slots. */
  get running(): number {
    return this.#slots.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get size(): number {
    return this.#slots.size + this.#waiting.length;
  }

  /** Slots that no run is in or waits for; below 0 where more wait. */
  get free(): number {
    return this.#concurrency - this.size;
  }

  /** How many may be taken beyond the free slots; `backlog` where jobs are known to wait on the queues. */
  ahead(backlog: boolean): number {
    return this.#prefetch ?? (backlog ? this.#pace.ahead : 0);
  }

  inSlots(): Run[] {
    return this.#slots.all();
  }

  all(): Run[] {
    return [...this.#slots.all(), ...this.#waiting];
  }

  add(runs: readonly Run[]): void {
    this.#waiting.push(...runs);
  }

  /** Puts those that wait into the slots that are free now; answers them, to be started. */
  fill(): Run[] {
    const next = this.#waiting.splice(0, this.#concurrency - this.#slots.size);
    for (const run of next) this.#slots.add(run);
    this.#begun += next.length;
    return next;
  }

  /** Puts one that waits into a slot of its own, so that it can end at once; answers whether it waited. */
  pull(run: Run): boolean {
    const at = this.#waiting.indexOf(run);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    this.#slots.add(run);
    return true;
  }

  /** A run has ended; answers whether others wait for its slot. */
  ended(run: Run): boolean {
    this.#slots.remove(run);
    // what must not run twice fails with its worker, so its like are not taken before they can begin
    this.#pace.note(isRedeliverable(run.fields) ? run.seconds * 1000 : WATCH_MS);
    return this.#waiting.length > 0;
  }

  /** Those that have not begun, which are not held any more. */
  letGo(): Run[] {
    return this.#waiting.splice(0);
  }

  /** The same, where they were taken because runs were short, and none has begun since this was asked before. */
  stale(): Run[] {
    const stand = this.#begun === this.#begunBefore && this.#slots.size >= this.#concurrency;
    this.#begunBefore = this.#begun;
    if (!stand || this.#waiting.length === 0 || this.#prefetch !== undefined) return [];
    this.#pace.note(WATCH_MS);
    return this.letGo();
  }
}
