/** What a worker keeps apart: a job that was lost so often that it may be what kills workers. */
import { PROBATION_MS } from '../defaults.ts';
import type { Run } from '../run.ts';

/**
 * Such a job is asked for by a call of its own, as the second of two calls under way could bring another one; and nothing is
 * started beside it until it has ended, or for a while.
 */
export class Probation {
  /** One is next on a queue. */
  ahead = false;
  readonly #over: () => void;
  #run: Run | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `over` is called when others may be started again. */
  constructor(over: () => void) {
    this.#over = over;
  }

  /** Whether one runs, and nothing is to be started beside it. */
  get holds(): boolean {
    return this.#run !== undefined;
  }

  begin(run: Run | undefined): void {
    this.#run = run;
    this.#timer = setTimeout(() => this.ended(run), PROBATION_MS);
  }

  /** Any run has ended; safe for those that were not on probation. */
  ended(run: Run | undefined): void {
    if (run === undefined || run !== this.#run) return;
    this.stop();
    this.#over();
  }

  stop(): void {
    this.#run = undefined;
    clearTimeout(this.#timer);
  }
}
