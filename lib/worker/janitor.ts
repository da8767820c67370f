/** The janitor: what dead workers held goes back, registries forget what has expired, and what is due is queued, crons' jobs too. */
import type { Link } from '../connection.ts';
import { takeTick } from '../cron-store.ts';
import { DUE_MS, REPLY_MS, SWEEP_MS } from '../defaults.ts';
import type { Swept, WorkerStore } from '../worker-store.ts';
import { Crons, type CronHooks } from './crons.ts';

export interface JanitorHooks {
  readonly swept: (queue: string, swept: Swept) => void;
  readonly failed: (queue: string, error: unknown) => void;
  /** The job of a cron's tick was queued. */
  readonly ticked: CronHooks['queued'];
  readonly warn: (text: string) => void;
}

/** Every worker has one; for each queue one of them at a time does the round. Safe to stop before it started, and twice. */
export class Janitor {
  readonly #store: WorkerStore;
  readonly #link: Link;
  readonly #hooks: JanitorHooks;
  readonly #crons: Crons;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #dueTimer: NodeJS.Timeout | undefined;
  #dueRound: Promise<void> | undefined;
  #stopped = false;

  constructor(store: WorkerStore, link: Link, hooks: JanitorHooks) {
    this.#store = store;
    this.#link = link;
    this.#hooks = hooks;
    this.#crons = new Crons(store.queues, {
      tick: (...what) => link.within(REPLY_MS, redis => takeTick(redis, store.keys, ...what)),
      queued: hooks.ticked,
      warn: hooks.warn,
      failed: hooks.failed,
    });
  }

  /** Resolves after the first round. */
  async start(): Promise<void> {
    this.#round = this.#sweepAll();
    await this.#round;
    this.#next();
    if (this.#stopped) return;
    this.#dueTimer = setInterval(() => {
      this.#dueRound ??= this.#queueDue().finally(() => (this.#dueRound = undefined));
    }, DUE_MS).unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#dueTimer);
    await Promise.all([this.#round, this.#dueRound]);
  }

  #next(): void {
    if (this.#stopped) return;
    // not all workers at the same moment
    const ms = SWEEP_MS * (0.9 + Math.random() * 0.2);
    this.#timer = setTimeout(() => {
      this.#round = this.#sweepAll().finally(() => this.#next());
    }, ms).unref();
  }

  async #queueDue(): Promise<void> {
    try {
      let more = true;
      while (more && !this.#stopped && this.#link.usable) {
        const due = await this.#link.within(REPLY_MS, redis => this.#store.queueDue(redis));
        const ticked = await this.#crons.run(due.crons, due.now, () => this.#stopped);
        more = due.more || ticked;
      }
    } catch (error) {
      this.#hooks.failed('', error);
    }
  }

  async #sweepAll(): Promise<void> {
    for (const [queue, name] of this.#store.queues.entries()) {
      try {
        let swept: Swept | undefined;
        while (!this.#stopped && this.#link.usable && swept?.more !== false) {
          const goOn = swept !== undefined;
          swept = await this.#link.within(REPLY_MS, redis => this.#store.sweep(redis, queue, goOn));
          if (!swept.held) break;
          this.#hooks.swept(name, swept);
        }
      } catch (error) {
        this.#hooks.failed(name, error);
      }
    }
  }
}
