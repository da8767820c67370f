/** Notices that this process stood still: it was stopped, or a function held up its event loop. */

/** What was sent before such a time may have been answered long before the answer is read. */
export class StandStill {
  /** Milliseconds without a turn that count. */
  readonly #limitMs: number;
  #turnAt: number = performance.now();
  #endedAt = -Infinity;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The event loop has its turn: called more often than the limit. */
  turn(): void {
    const now = performance.now();
    if (now - this.#turnAt > this.#limitMs) this.#endedAt = now;
    this.#turnAt = now;
  }

  /** Whether there was such a time since a moment of `performance.now()`; it may be over only now, with no turn after it. */
  since(moment: number): boolean {
    return this.#endedAt >= moment || performance.now() - this.#turnAt > this.#limitMs;
  }
}
