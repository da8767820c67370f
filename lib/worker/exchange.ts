/** A worker's exchange with Redis: hands outcomes in and brings jobs back, and loses neither when a reply is lost. */
import type { Link } from '../connection.ts';
import { ADVANCE_BATCH, BACKOFF_MS, OUTCOMES_KEPT, OUTCOME_ALONE, OUTCOME_TRIES } from '../defaults.ts';
import { messageOf } from '../options.ts';
import type { HandIn, RunRef } from '../outcome.ts';
import type { Run } from '../run.ts';
import type { AdvanceReply, Answer, DequeueStrategy } from '../advance.ts';
import type { WorkerStore } from '../worker-store.ts';

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
  /** Ends what brings runs by another way than a call of this exchange's; resolves once all that it brought is known. */
  readonly still: () => Promise<void>;
  /** Whether Redis has taken a heartbeat of late. */
  readonly registered: () => boolean;
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
  /** Outcomes that go by themselves, and when the next one may. */
  readonly #stuck: Settled[] = [];
  #stuckUntil = -Infinity;
  /** Characters of all outcomes that are kept here. */
  #keptLength = 0;
  #returns: Run[] = [];
  /** Returns under way. */
  readonly #returning: Set<Promise<void>> = new Set();
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
    const kept = this.#settled.length + this.#stuck.length + this.#returns.length;
    return this.#calls === 0 && kept === 0;
  }

  /** Whether so much is left to be handed in that no more jobs should be taken. */
  get full(): boolean {
    return this.#keptLength > OUTCOMES_KEPT;
  }

  /** Runs whose outcome Redis does not know yet. */
  get unsettled(): readonly RunRef[] {
    return [...this.#settled, ...this.#stuck];
  }

  /** Notes a run that has ended, for the next call. */
  settle(run: Settled): void {
    this.#settled.push(run);
    this.#keptLength += run.ended.text.length;
  }

  /** Notes runs that are to go back to their queues, uncounted. */
  giveBack(runs: readonly Run[]): void {
    this.#returns.push(...runs);
  }

  /** Gives back at once what was noted, where that can be sent, and waits until that is done. */
  async sendBack(): Promise<void> {
    if (this.#returns.length > 0 && this.#link.usable) this.#sendReturns();
    await Promise.all(this.#returning);
  }

  /** A reply was lost by another way than a call of this exchange's: it may have brought a run. */
  suspect(): void {
    this.#suspect = true;
    this.#hooks.ready();
  }

  /** Whether calls can be sent now; does first what has to come before them. */
  prepare(): boolean {
    if (this.#paused || this.#mending || !this.#link.usable) return false;
    if (this.#suspect) {
      if (this.#calls === 0) void this.#mend();
      return false;
    }
    if (this.#returns.length > 0) this.#sendReturns();
    const [stuck] = this.#stuck;
    if (stuck !== undefined && performance.now() >= this.#stuckUntil) {
      this.#stuck.shift();
      this.#stuckUntil = Infinity;
      void this.#handInAlone(stuck);
    }
    return true;
  }

  /** Hands in outcomes and asks for jobs; `undefined` where the call failed. */
  async advance(
    want: number,
    claims: ReadonlySet<number>,
    single: boolean,
  ): Promise<AdvanceReply | undefined> {
    const handIns = this.#nextHandIns();
    this.#calls++;
    let reply: AdvanceReply;
    try {
      reply = await this.#link.within(CALL_LIMIT_MS, redis =>
        this.#store.advance(redis, { handIns, want, claims, strategy: this.#strategy, single }),
      );
    } catch (error) {
      this.#keep(handIns);
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
    this.#keptLength -= length;
    return this.#settled.splice(0, n);
  }

  /** Keeps outcomes of a call that failed for the next one; those that failed too often go by themselves from then on. */
  #keep(handIns: readonly Settled[]): void {
    for (const run of handIns) {
      run.tries++;
      this.#keptLength += run.ended.text.length;
    }
    this.#stuck.push(...handIns.filter(({ tries }) => tries >= OUTCOME_ALONE));
    this.#settled.unshift(...handIns.filter(({ tries }) => tries < OUTCOME_ALONE));
  }

  /** Hands one outcome in by itself: what Redis never takes must not hold up the others for ever. */
  async #handInAlone(run: Settled): Promise<void> {
    this.#keptLength -= run.ended.text.length;
    const request = { handIns: [run], want: 0, claims: new Set<number>(), strategy: this.#strategy };
    this.#calls++;
    try {
      const { answers } = await this.#link.within(CALL_LIMIT_MS, redis =>
        this.#store.advance(redis, request),
      );
      this.#answered(run, answers[0] ?? 'refused');
    } catch (error) {
      // while Redis takes nothing from this worker, the outcome is not to blame
      if (this.#hooks.registered()) run.tries++;
      if (run.tries < OUTCOME_TRIES) {
        this.#keptLength += run.ended.text.length;
        this.#stuck.push(run);
      } else {
        const what = `The outcome of job ${run.jobId} could not be stored in ${run.tries} tries`;
        this.#hooks.failed(new Error(`${what}, it runs again after its lease: ${messageOf(error)}`));
        this.#hooks.lost(run);
      }
      this.#refused(error);
    } finally {
      this.#calls--;
      const ms = Math.min(BACKOFF_MS[1], BACKOFF_MS[0] * 2 ** (run.tries - OUTCOME_ALONE + 1));
      this.#stuckUntil = performance.now() + ms;
      setTimeout(() => this.#hooks.ready(), ms + 1);
      this.#hooks.ready();
    }
  }

  #answered(run: Settled, answer: Answer): void {
    // where nothing was to be kept, a job that is gone is what the first time leaves behind
    const kept = answer === 'accepted' || (answer === 'refused' && run.tries > 0 && run.ended.ttl === 0);
    if (kept) return this.#hooks.ended(run);
    if (answer === 'queued' || answer === 'scheduled') return this.#hooks.retried(run, answer);
    if (answer === 'wrong type') {
      const again = `job ${run.jobId} runs again after its lease`;
      this.#hooks.failed(new Error(`A key of queue ${run.queue} has the wrong type: ${again}`));
    }
    this.#hooks.lost(run);
  }

  #sendReturns(): void {
    const returning = this.#return(this.#returns.splice(0)).finally(() => this.#returning.delete(returning));
    this.#returning.add(returning);
  }

  async #return(returns: readonly Run[]): Promise<void> {
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
      // a run whose reply is on its way is none that nobody knows
      await this.#hooks.still();
      const found = await this.#link.within(CALL_LIMIT_MS, redis => this.#store.findRuns(redis));
      const here = [...this.#hooks.running(), ...this.unsettled, ...this.#returns];
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
