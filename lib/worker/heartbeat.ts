/** What a worker says while it lives: that it does, what it is doing, and that its runs are still its own. */
import { hostname, networkInterfaces } from 'node:os';
import type { Link } from '../connection.ts';
import { REPLY_MS, REPORT_MS } from '../defaults.ts';
import { VERSION } from '../version.ts';
import type { RunRef } from '../outcome.ts';
import type { Report, WorkerStore } from '../worker-store.ts';

/** Most leases that one script renews. */
const RENEW_BATCH = 500;

export interface HeartbeatHooks {
  readonly state: () => Pick<Report, 'state' | 'currentJob'>;
  readonly runs: () => readonly RunRef[];
  readonly lost: (executionId: string) => void;
  /** Somebody asked for the run's end. */
  readonly stop: (executionId: string) => void;
  readonly failed: (error: unknown) => void;
}

/** Safe to stop before it started, and twice. */
export class Heartbeat {
  readonly #store: WorkerStore;
  readonly #link: Link;
  readonly #hooks: HeartbeatHooks;
  readonly #fields: readonly string[];
  /** Milliseconds between two heartbeats, and between two renewals. */
  readonly #every: number;
  #timer: NodeJS.Timeout | undefined;
  #said = '';
  #beatAt = -Infinity;
  readonly #madeAt: number = performance.now();
  #renewedAt = performance.now();
  #turn: Promise<void> | undefined;
  #stopped = false;
  // what ended since the last report
  #finished = 0;
  #failed = 0;
  #seconds = 0;

  constructor(store: WorkerStore, link: Link, hooks: HeartbeatHooks) {
    this.#store = store;
    this.#link = link;
    this.#hooks = hooks;
    this.#every = (store.lease * 1000) / 3;
    this.#fields = [
      ['queues', store.queues.join(',')],
      ['pid', String(process.pid)],
      ['hostname', hostname()],
      ['ip_address', ownAddress()],
      ['version', VERSION],
      ['python_version', `node ${process.versions.node}`],
    ].flat();
  }

  /** Registers the worker. */
  async start(): Promise<void> {
    await this.#beat();
    this.#timer = setInterval(() => {
      this.#turn ??= this.#tick().finally(() => (this.#turn = undefined));
    }, REPORT_MS);
    this.#timer.unref();
  }

  /** Says the last, and ends the registration. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#turn;
    if (!this.#link.usable || this.#beatAt === -Infinity) return;
    try {
      await this.#beat();
      await this.#store.unregister(this.#link.redis);
    } catch (error) {
      this.#hooks.failed(error);
    }
  }

  /** Renews at the next look instead of when it is time: messages to the worker may have been missed. */
  hurry(): void {
    this.#renewedAt = -Infinity;
  }

  /** Counts a run that ended, after `seconds`. */
  count(finished: boolean, seconds: number): void {
    if (finished) this.#finished++;
    else this.#failed++;
    this.#seconds += seconds;
  }

  /**
   * Whether the worker is surely registered: only then may a blocking read take an id, since the claims of a worker that
   * is not are looked for no more.
   */
  get fresh(): boolean {
    return performance.now() - this.#beatAt < this.patience * 1000;
  }

  /** Seconds that the worker may be silent and is surely registered still. */
  get patience(): number {
    return this.#store.ttl / 2;
  }

  /** Seconds since Redis took a heartbeat, or since there is a worker. */
  get silence(): number {
    return (performance.now() - Math.max(this.#beatAt, this.#madeAt)) / 1000;
  }

  async #tick(): Promise<void> {
    if (!this.#link.usable) return;
    try {
      const now = performance.now();
      const { state, currentJob } = this.#hooks.state();
      // to the nearest tick: a round trip's delay must not put it off by a whole one
      const due = now - this.#every + REPORT_MS / 2;
      if (this.#beatAt <= due || `${state} ${currentJob}` !== this.#said) await this.#beat();
      if (this.#renewedAt <= due) await this.#renew();
    } catch (error) {
      this.#hooks.failed(error);
    }
  }

  async #beat(): Promise<void> {
    const { state, currentJob } = this.#hooks.state();
    const [finished, failed, seconds] = [this.#finished, this.#failed, this.#seconds];
    await this.#link.within(REPLY_MS, redis => this.#store.countChannels(redis));
    const sentAt = performance.now();
    const report = { state, currentJob, finished, failed, seconds };
    await this.#link.within(REPLY_MS, redis => this.#store.heartbeat(redis, report, this.#fields));
    this.#beatAt = sentAt;
    this.#said = `${state} ${currentJob}`;
    this.#finished -= finished;
    this.#failed -= failed;
    this.#seconds -= seconds;
  }

  async #renew(): Promise<void> {
    const before = this.#renewedAt;
    // at once, so that a hurry that comes meanwhile is not lost
    this.#renewedAt = performance.now();
    const runs = this.#hooks.runs();
    try {
      for (let first = 0; first < runs.length; first += RENEW_BATCH) {
        const part = runs.slice(first, first + RENEW_BATCH);
        const { lost, stops } = await this.#link.within(REPLY_MS, redis => this.#store.renew(redis, part));
        for (const executionId of lost) this.#hooks.lost(executionId);
        for (const executionId of stops) this.#hooks.stop(executionId);
      }
    } catch (error) {
      this.#renewedAt = before;
      throw error;
    }
  }
}

function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? [])
      if (family === 'IPv4' && !internal) return address;
  }
  return '127.0.0.1';
}
