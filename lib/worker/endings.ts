/** What has to end early of runs that are not here yet: the word about one may be quicker than the reply that brings it. */
import type { LeaseLostError, StopRequestedError } from '../errors.ts';
import type { Run } from '../run.ts';

/** Milliseconds by which it may be quicker. */
const QUICKER_MS = 1_000;

/** Why a run is to end; `false` for those that are not meant. */
export type Ending = (run: Run) => StopRequestedError | LeaseLostError | false;

/** What was heard of while one call was under way. */
export class Heard {
  readonly #heard: { readonly ending: Ending; readonly at: number }[] = [];

  add(ending: Ending): void {
    this.#heard.push({ ending, at: performance.now() });
  }

  get all(): Ending[] {
    return this.#heard.map(({ ending }) => ending);
  }

  /** For a call that was sent long before it had anything to bring: what was said before that is of an earlier run. */
  get late(): Ending[] {
    const since = performance.now() - QUICKER_MS;
    return this.#heard.filter(({ at }) => at >= since).map(({ ending }) => ending);
  }
}

/** The calls under way, each with what was heard meanwhile. */
export class Endings {
  readonly #calls: Set<Heard> = new Set();

  /** A call is sent: what is heard from now on goes with it, until it is `over`. */
  begin(): Heard {
    const heard = new Heard();
    this.#calls.add(heard);
    return heard;
  }

  over(heard: Heard): void {
    this.#calls.delete(heard);
  }

  add(ending: Ending): void {
    for (const heard of this.#calls) heard.add(ending);
  }
}
