/** What a worker knows of its queues: whether there is anything to take, and which it may not take from for now. */
import type { AdvanceReply } from '../advance.ts';

/** Milliseconds between two looks whether suspended or paused work goes on, as in RQ, and whether a queue can be used again. */
const LOOK_MS = 1_000;
/** Milliseconds between two looks of an idle worker at its own claims. */
const LOOK_AT_CLAIMS_MS = 15_000;

/** Is told once of each change. */
export interface OutlookHooks {
  readonly suspended: (is: boolean) => void;
  readonly paused: (place: number, is: boolean) => void;
  /** A key of the queue has the wrong type. */
  readonly unusable: (place: number) => void;
}

export class Outlook {
  /** What Redis said last; `perhaps` where something has happened since that may have put jobs on the queues. */
  more: AdvanceReply['more'] | 'perhaps' = 'perhaps';
  readonly #queues: number;
  readonly #hooks: OutlookHooks;
  /** Places of the queues where a blocking read took something. */
  #claims: Set<number> = new Set();
  #suspended = false;
  /** When the claims of all queues were looked at last. */
  #lookedAt: number = performance.now();
  #unusable: ReadonlySet<number> = new Set();
  #paused: ReadonlySet<number> = new Set();
  /** Places of the queues whose rate is reached, and until when. */
  #limited: ReadonlyMap<number, number> = new Map();
  /** Jobs wait on a queue whose rate is reached. */
  #held = false;

  constructor(queues: number, hooks: OutlookHooks) {
    this.#queues = queues;
    this.#hooks = hooks;
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** Whether there may be jobs to take. */
  get looks(): boolean {
    return this.more === 'yes' || this.more === 'perhaps';
  }

  /** Whether jobs wait that may be taken later, so that a burst is not over. */
  get held(): boolean {
    return this.#held;
  }

  get hasClaims(): boolean {
    return this.#claims.size > 0;
  }

  /** The claims to look at with the next call, which are forgotten here. */
  takeClaims(): ReadonlySet<number> {
    const claims = this.#claims;
    this.#claims = new Set();
    return claims;
  }

  addClaims(places: Iterable<number>): void {
    for (const place of places) this.#claims.add(place);
  }

  /** `asked` is false where no job was asked for: then the queues were not looked at, and what was claimed has gone back. */
  learn({ more, unusable, closed, jobs }: AdvanceReply, asked: boolean = true): void {
    this.more = asked || more === 'suspended' ? more : 'perhaps';
    const suspended = more === 'suspended';
    if (suspended !== this.#suspended) this.#hooks.suspended(suspended);
    this.#suspended = suspended;
    for (const place of unusable) if (!this.#unusable.has(place)) this.#hooks.unusable(place);
    this.#unusable = new Set(unusable);
    // what was not asked for is not known
    if (suspended || !asked) return;
    const paused = new Set(closed.filter(({ ms }) => ms === 0).map(({ place }) => place));
    // a call that found enough has not looked at all queues
    if (more === 'yes') {
      const open = new Set(jobs.map(({ place }) => place));
      for (const place of this.#paused) if (!open.has(place)) paused.add(place);
    }
    for (const place of paused) if (!this.#paused.has(place)) this.#hooks.paused(place, true);
    for (const place of this.#paused) if (!paused.has(place)) this.#hooks.paused(place, false);
    this.#paused = paused;
    const limited = closed.filter(({ ms }) => ms > 0);
    const now = performance.now();
    this.#limited = new Map(limited.map(({ place, ms }) => [place, now + ms]));
    this.#held = limited.some(({ waiting }) => waiting > 0);
  }

  /** The places of the queues that are not to be waited at. */
  get closed(): ReadonlySet<number> {
    return new Set([...this.#unusable, ...this.#paused, ...this.#limited.keys()]);
  }

  /** Milliseconds until an idle worker looks again, whatever its waits say. */
  get nextLookMs(): number {
    // a read whose end was never heard of may have taken an id long ago
    const claims = Math.max(0, LOOK_AT_CLAIMS_MS - (performance.now() - this.#lookedAt));
    const soon =
      this.#suspended || this.#unusable.size > 0 || this.#paused.size > 0 || this.#limited.size > 0;
    const rates = [...this.#limited.values()].map(until => until - performance.now());
    return Math.max(1, Math.min(soon ? LOOK_MS : claims, ...rates));
  }

  /** Something happened that may have put jobs on the queues. */
  lookAgain(): void {
    if (performance.now() - this.#lookedAt >= LOOK_AT_CLAIMS_MS) return this.lookEverywhere();
    // what was taken from a queue before it became unusable is still among the claims
    this.addClaims(this.#unusable);
    this.more = 'perhaps';
  }

  /** The claims of all queues are to be looked at. */
  lookEverywhere(): void {
    this.#lookedAt = performance.now();
    this.addClaims(Array.from({ length: this.#queues }, (_, place) => place));
    this.more = 'perhaps';
  }
}
