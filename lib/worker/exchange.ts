/** A worker's exchange with Redis: hands outcomes in and brings jobs back, and loses neither when a reply is lost. */
import type { Link } from '../connection.ts';
import { ADVANCE_BATCH, BACKOFF_MS } from '../defaults.ts';
import type { HandIn, RunRef } from '../outcome.ts';
import type { Run } from '../run.ts';
import type { AdvanceReply, Answer, DequeueStrategy, WorkerStore } from '../worker-store.ts';

/** Milliseconds without a reply after which the link counts as dead. */
const CALL_LIMIT_MS = 30_000;
/** Most outcomes, and most characters of them, that one call hands in. */
const HAND_IN_BATCH = 1_000;
const HAND_IN_LENGTH = 8 * 1024 * 1024;

/** A run with its outcome. */
export type Settled = Run & HandIn;

export interface ExchangeHooks {
  /** The outcome was stored. */
  readonly ended: (run: Settled) => void;
  /** It failed, and its job is queued or scheduled again. */
  readonly retried: (run: Settled, when: 'queued' | 'scheduled') => void;
  /** The run is not the job's any more: its outcome was not kept. */
  readonly lost: (run: Run) => void;
  /** The run is back at the front of its queue. */
  readonly returned: (run: Run) => void;
  readonly failed: (error: unknown) => void;
  /** The runs under way. */
  readonly running: () => readonly RunRef[];
  /** Something can be sent again. */
  readonly ready: () => void;
  /** After a lost reply: blocking reads may have taken ids. */
  readonly mended: () => void;
}

/**
 * The client repeats nothing by itself. After a call that failed its outcomes are handed in again, which counts once; and
 * after a reply that was lost, runs which Redis has under this worker's mark and nobody here knows are given back.
 */
export class Exchange {
  readonly #store: WorkerStore;
  readonly #link: Link;
  readonly #strategy: DequeueStrategy;
  readonly #hooks: ExchangeHooks;
  #settled: Settled[] = [];
  #returns: Run[] = [];
  #calls = 0;
  /** A reply was lost, so there may be runs at Redis that nobody here knows of. */
  #suspect = false;
  #mending = false;
  /** The last pause after a failed call; 0 since one went well. */
  #backoffMs = 0;
  #paused = false;

  constructor(store: WorkerStore, link: Link, strategy: DequeueStrategy, hooks: ExchangeHooks) {
    this.#store = store;
    this.#link = link;
    this.#strategy = strategy;
    this.#hooks = hooks;
    link.redis.on('ready', () => hooks.ready());
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /** Whether there are outcomes to hand in. */
  get hasOutcomes(): boolean {
    return this.#settled.length > 0;
  }

  /** Whether nothing is under way, and nothing left to be sent. */
  get quiet(): boolean {
    return this.#calls === 0 && this.#settled.length === 0 && this.#returns.length === 0;
  }

  /** Runs whose outcome Redis does not know yet. */
  get unsettled(): readonly RunRef[] {
    return this.#settled;
  }

  /** Notes a run that has ended, for the next call. */
  settle(run: Settled): void {
    this.#settled.push(run);
  }

  /** Notes runs that are to go back to their queues, uncounted. */
  giveBack(runs: readonly Run[]): void {
    this.#returns.push(...runs);
  }

  /** Whether calls can be sent now; does first what has to come before them. */
  prepare(): boolean {
    if (this.#paused || this.#mending || !this.#link.usable) return false;
    if (this.#suspect) {
      if (this.#calls === 0) void this.#mend();
      return false;
    }
    if (this.#returns.length > 0) void this.#sendBack(this.#returns.splice(0));
    return true;
  }

  /** Hands in outcomes and asks for jobs; `undefined` where the call failed. */
  async advance(want: number, claims: ReadonlySet<number>): Promise<AdvanceReply | undefined> {
    const handIns = this.#nextHandIns();
    this.#calls++;
    let reply: AdvanceReply;
    try {
      reply = await this.#link.within(CALL_LIMIT_MS, redis =>
        this.#store.advance(redis, { handIns, want, claims, strategy: this.#strategy }),
      );
    } catch (error) {
      for (const run of handIns) run.resent = true;
      this.#settled.unshift(...handIns);
      this.#refused(error);
      return undefined;
    } finally {
      this.#calls--;
    }
    this.#backoffMs = 0;
    reply.answers.forEach((answer, i) => this.#answered(handIns[i] as Settled, answer));
    return reply;
  }

  #nextHandIns(): Settled[] {
    let length = 0;
    let n = 0;
    while (n < this.#settled.length && n < HAND_IN_BATCH && length < HAND_IN_LENGTH) {
      length += this.#settled[n++]?.ended.text.length ?? 0;
    }
    return this.#settled.splice(0, n);
  }

  #answered(run: Settled, answer: Answer): void {
    // where nothing was to be kept, a job that is gone is what the first time leaves behind
    const kept = answer === 'accepted' || (answer === 'refused' && run.resent && run.ended.ttl === 0);
    if (kept) return this.#hooks.ended(run);
    if (answer === 'queued' || answer === 'scheduled') return this.#hooks.retried(run, answer);
    if (answer === 'wrong type') {
      const again = `job ${run.jobId} runs again after its lease`;
      this.#hooks.failed(new Error(`A key of queue ${run.queue} has the wrong type: ${again}`));
    }
    this.#hooks.lost(run);
  }

  async #sendBack(returns: readonly Run[]): Promise<void> {
    this.#calls++;
    try {
      await this.#link.within(CALL_LIMIT_MS, redis => this.#store.giveBack(redis, returns));
      for (const run of returns) this.#hooks.returned(run);
    } catch (error) {
      // fenced: what was given back before is passed over
      this.#returns.push(...returns);
      this.#refused(error);
    } finally {
      this.#calls--;
      this.#hooks.ready();
    }
  }

  /** After a failed call: a pause, longer each time. */
  #refused(error: unknown): void {
    // an error of Redis' own may come after a script has done a part
    this.#suspect = true;
    this.#hooks.failed(error);
    if (this.#paused) return;
    this.#paused = true;
    const [first, most] = BACKOFF_MS;
    this.#backoffMs = Math.min(most, Math.max(first, this.#backoffMs * 2));
    const ms = this.#backoffMs * (0.5 + Math.random() / 2);
    setTimeout(() => {
      this.#paused = false;
      this.#hooks.ready();
    }, ms);
  }

  async #mend(): Promise<void> {
    this.#mending = true;
    try {
      const found = await this.#link.within(CALL_LIMIT_MS, redis => this.#store.findRuns(redis));
      const here = [...this.#hooks.running(), ...this.#settled, ...this.#returns];
      const known = new Set(here.map(({ executionId }) => executionId));
      const unknown = found.filter(({ executionId }) => !known.has(executionId));
      for (let first = 0; first < unknown.length; first += ADVANCE_BATCH) {
        const part = unknown.slice(first, first + ADVANCE_BATCH);
        await this.#link.within(CALL_LIMIT_MS, redis => this.#store.giveBack(redis, part));
      }
      this.#suspect = false;
      this.#hooks.mended();
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#mending = false;
      this.#hooks.ready();
    }
  }
}
