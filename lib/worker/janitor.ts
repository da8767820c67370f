/** The janitor: what dead workers held goes back, registries forget what has expired, and what is due is queued. */
import type { Link } from '../connection.ts';
import { DUE_MS, REPLY_MS, SWEEP_MS } from '../defaults.ts';
import type { Swept, WorkerStore } from '../worker-store.ts';

export interface JanitorHooks {
  readonly swept: (queue: string, swept: Swept) => void;
  readonly failed: (queue: string, error: unknown) => void;
}

/** Every worker has one; for each queue one of them at a time does the round. Safe to stop before it started, and twice. */
export class Janitor {
  readonly #store: WorkerStore;
  readonly #link: Link;
  readonly #hooks: JanitorHooks;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #dueTimer: NodeJS.Timeout | undefined;
  #dueRound: Promise<void> | undefined;
  #stopped = false;

  constructor(store: WorkerStore, link: Link, hooks: JanitorHooks) {
    this.#store = store;
    this.#link = link;
    this.#hooks = hooks;
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
      while (
        !this.#stopped &&
        this.#link.usable &&
        (await this.#link.within(REPLY_MS, redis => this.#store.queueDue(redis)))
      );
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
