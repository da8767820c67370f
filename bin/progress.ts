/** Long work: how far it is, and an end between two steps where somebody presses Ctrl-C. */

/** Shows counts on a terminal's standard error, and tells the work by its signal to end. A second Ctrl-C ends the program. */
export class Progress implements Disposable {
  readonly #what: string;
  readonly #total: number | undefined;
  readonly #stop = new AbortController();
  readonly #onInterrupt = (): void => this.#stop.abort();
  #done = 0;
  #shownAt = 0;
  #shown = false;

  constructor(what: string, total: number | undefined) {
    this.#what = what;
    this.#total = total;
    process.once('SIGINT', this.#onInterrupt);
    process.once('SIGTERM', this.#onInterrupt);
  }

  get done(): number {
    return this.#done;
  }

  get interrupted(): boolean {
    return this.#stop.signal.aborted;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  add(n: number): void {
    this.#done += n;
    const now = performance.now();
    if (!process.stderr.isTTY || now - this.#shownAt < 100) return;
    this.#shownAt = now;
    this.#shown = true;
    const of = this.#total === undefined ? '' : ` of ${this.#total}`;
    process.stderr.write(`\r\x1b[K${this.#what} ${this.#done}${of}`);
  }

  /** Takes the line away, so that others can be written. */
  hide(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
    this.#shown = false;
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onInterrupt);
    process.off('SIGTERM', this.#onInterrupt);
    this.hide();
  }
}
