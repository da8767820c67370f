/**
 * A case of the fault suite: something is struck while jobs run, and at rest every job is accounted for.
 *
 * `RQ_FAULTS=all` runs all cases in their full size (`npm run test:faults`), else a selection in a small one.
 * `RQ_FAULT_SEED=<number>` takes a seed again that an earlier run printed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ConnectionError, OutcomeUnknownError, Queue, RedisRefusedError } from '../../lib/index.ts';
import type { EnqueueOptions } from '../../lib/index.ts';
import { account, unrest, type Account } from './account.ts';
import { ACL_ARGS, refusals, urlOf, type AclUser } from './acl.ts';
import { Ledger, type Leaves } from './ledger.ts';
import { startRedis, type RedisServer, type ServerOptions } from './redis.ts';
import { startWorker, type WorkerProcess } from './worker-process.ts';

/** Whether all cases run, in their full size. */
export const ALL: boolean = process.env['RQ_FAULTS'] === 'all';

/** What the last lines of a run say of a case. */
export type FaultLine = Omit<Account, 'lost' | 'misplaced' | 'strays'> & {
  readonly lost: number;
  readonly misplaced: number;
  readonly strays: number;
  readonly seed: number;
  readonly note: string;
};

declare module 'vitest' {
  interface TaskMeta {
    fault?: FaultLine;
  }
}

export interface CaseOptions {
  /** Runs with all cases only: it takes long by its nature. */
  readonly onlyWithAll?: boolean;
  /** Milliseconds; 90 s by default. */
  readonly timeout?: number;
  readonly redis?: ServerOptions;
  /** The queues that are accounted for; `default` by default. */
  readonly queues?: readonly string[];
  /** Milliseconds that may pass until all is at rest after the case's own part; 60 s by default. */
  readonly rest?: number;
  /** Acknowledged jobs may be missing, as many as the case itself allows and asserts: Redis lost them, not we. */
  readonly redisLoses?: boolean;
  /** Why it can't run on this machine: then it is skipped, and that is said. */
  readonly lacks?: string | undefined;
}

/** How jobs are put on a queue by `enqueue`. */
export interface Load {
  /** How long each runs, in milliseconds; 0 by default. */
  readonly ms?: number;
  readonly queue?: Queue;
  /** How many calls are under way at a time; 20 by default. */
  readonly atOnce?: number;
  readonly options?: EnqueueOptions;
  readonly leaves?: Leaves;
  /** Milliseconds between two rounds of calls; 0 by default. */
  readonly pause?: number;
}

export class FaultCase {
  readonly ledger: Ledger = new Ledger();
  readonly seed: number;
  /** Said beside the figures. */
  note = '';
  redis: RedisServer;
  #q: Queue | undefined;
  readonly #random: () => number;
  readonly #workers: WorkerProcess[] = [];
  readonly #closers: (() => unknown)[] = [];
  readonly #server: ServerOptions;
  #made = 0;

  constructor(redis: RedisServer, server: ServerOptions, seed: number) {
    this.redis = redis;
    this.#server = server;
    this.seed = seed;
    this.#random = mulberry(seed);
  }

  /** A queue straight at Redis, not through what is struck; as the README's user for producers. */
  get q(): Queue {
    return (this.#q ??= this.closing(new Queue('default', { connection: this.url('rq-producer') })));
  }

  /** Redis as one of the README's users; `redis.url` is without a user, for looking at keys. */
  url(user: AclUser): string {
    return urlOf(user, this.redis.url);
  }

  /** From 0 to below 1, the same for the same seed. */
  random(): number {
    return this.#random();
  }

  /** A whole number of `from` to `to`. */
  between(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  pick<T>(from: readonly T[]): T {
    return from[this.between(0, from.length - 1)] as T;
  }

  /** Has something closed with the case. */
  closing<T extends { close(): unknown }>(what: T): T {
    this.#closers.push(() => what.close());
    return what;
  }

  /** Has something done when the case ends. */
  atEnd(what: () => unknown): void {
    this.#closers.push(what);
  }

  /** A worker process with the spec tasks and a lease of 3 s; later arguments override. */
  worker(...args: readonly string[]): WorkerProcess {
    return this.workerAt(this.redis.url, ...args);
  }

  /** The same through another URL; as the README's user for workers, where the URL names none. */
  workerAt(url: string, ...args: readonly string[]): WorkerProcess {
    const worker = startWorker(urlOf('rq-worker', url), ['default'], '--lease', '3', '--quiet', ...args);
    this.#workers.push(worker);
    return worker;
  }

  /** Has a worker that was started otherwise end with the case. */
  keep(worker: WorkerProcess): WorkerProcess {
    this.#workers.push(worker);
    return worker;
  }

  /** Those that have not ended. */
  get workers(): WorkerProcess[] {
    return this.#workers.filter(({ child }) => child.exitCode === null && child.signalCode === null);
  }

  /** SIGKILL, and noted. */
  async kill(worker: WorkerProcess): Promise<void> {
    this.ledger.struck(worker.pid);
    await worker.end('SIGKILL');
  }

  /** SIGKILL to a worker in the middle of a run, of another job than these: it is held still while the ledger is asked. */
  async killBusy(but: readonly string[] = []): Promise<void> {
    const held = (worker: WorkerProcess): boolean => {
      worker.child.kill('SIGSTOP');
      if (this.ledger.openRuns(worker.pid, but) > 0) return true;
      worker.child.kill('SIGCONT');
      return false;
    };
    for (;;) {
      const worker = this.pick(this.workers);
      if (held(worker)) return this.kill(worker);
      await sleep(5);
    }
  }

  /** Waits until all workers are registered. */
  async up(): Promise<void> {
    const { client } = this.redis;
    const missing = async (): Promise<number[]> => {
      const keys = await client.smembers('rq:workers');
      const pids = await Promise.all(keys.map(key => client.hget(key, 'pid')));
      return this.workers.map(({ pid }) => pid).filter(pid => !pids.includes(String(pid)));
    };
    await expect.poll(missing, { timeout: 30_000 }).toEqual([]);
  }

  /** Ends Redis by SIGKILL and starts it again on the same port and folder, after a while. */
  async restartRedis(downMs: number = 0): Promise<void> {
    const { port, dir } = this.redis;
    this.ledger.struck();
    await this.redis.kill();
    await sleep(downMs);
    this.redis = await startRedis(withUsers({ ...this.#server, port, dir }));
  }

  /**
   * Puts jobs on a queue that call the spec function `ledger`, and notes what the producer was told of each. Every second
   * one has an id of the caller's. Never throws for what a fault may bring; gives the ids that were acknowledged.
   */
  async enqueue(count: number, load: Load = {}): Promise<string[]> {
    const { ms = 0, queue = this.q, atOnce = 20, options = {}, leaves = 'kept', pause = 0 } = load;
    const acknowledged: string[] = [];
    const one = async (): Promise<void> => {
      const n = this.#made++;
      const jobId = n % 2 === 0 ? `own-${n}` : undefined;
      try {
        const job = await queue.enqueue('ledger', [this.ledger.file, null, ms], {
          resultTtl: -1,
          ...(jobId === undefined ? {} : { jobId }),
          ...options,
        });
        acknowledged.push(job.id);
        this.ledger.told(job.id, 'acknowledged', leaves);
      } catch (error) {
        if (error instanceof OutcomeUnknownError) this.ledger.told(error.jobId ?? '?', 'unknown', leaves);
        else if (error instanceof ConnectionError || error instanceof RedisRefusedError) {
          if (jobId !== undefined) this.ledger.told(jobId, 'unsent', leaves);
        } else throw error;
      }
    };
    for (let first = 0; first < count; first += atOnce) {
      await Promise.all(Array.from({ length: Math.min(atOnce, count - first) }, one));
      if (pause > 0) await sleep(pause);
    }
    return acknowledged;
  }

  /** Waits until so many runs have ended. */
  async ended(count: number, timeout: number = 60_000): Promise<void> {
    await expect
      .poll(() => this.ledger.counts('end').size, { timeout, interval: 20 })
      .toBeGreaterThanOrEqual(count);
  }

  /** Works off what is left, with a worker more, and waits until nothing waits, runs or is held. */
  async rest(queues: readonly string[], timeout: number): Promise<void> {
    this.keep(startWorker(this.url('rq-worker'), queues, '--lease', '3', '--quiet', '--concurrency', '10'));
    await expect.poll(() => unrest(this.redis.client, queues), { timeout, interval: 100 }).toEqual({});
  }

  /** Ends all processes, closes all that was opened. */
  async end(): Promise<void> {
    await Promise.all(this.#workers.map(worker => worker.end()));
    for (const close of this.#closers.toReversed()) await close();
    await this.redis.stop();
    this.ledger.remove();
  }
}

/** One case: its body strikes, then all that is left is worked off and accounted for. */
export function faultCase(name: string, options: CaseOptions, body: (c: FaultCase) => Promise<void>): void {
  if (options.onlyWithAll === true && !ALL) return;
  const { timeout = 90_000, queues = ['default'], rest = 60_000, redis: server = {}, lacks } = options;
  it(name, { timeout }, async ({ task, skip, onTestFinished }) => {
    if (lacks !== undefined) skip(lacks);
    const given = process.env['RQ_FAULT_SEED'];
    const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const c = new FaultCase(await startRedis(withUsers(server)), server, seed);
    // also where the case runs out of time
    onTestFinished(() => c.end());
    try {
      await body(c);
      await c.rest(queues, rest);
      expect(await refusals(c.redis.client), 'what the README’s users may not do').toEqual([]);
      const found = await account(c.redis.client, queues, c.ledger);
      const { lost, misplaced, strays, ...figures } = found;
      const counts = { lost: lost.length, misplaced: misplaced.length, strays: strays.length };
      task.meta.fault = { ...figures, ...counts, seed, note: c.note };
      expect({ misplaced, strays, ...(options.redisLoses === true ? {} : { lost }) }).toEqual({
        misplaced: [],
        strays: [],
        ...(options.redisLoses === true ? {} : { lost: [] }),
      });
      expect(Object.keys(figures.ends), 'ends').not.toContain('queued');
      expect(Object.keys(figures.ends), 'ends').not.toContain('started');
      const ends = Object.values(figures.ends).reduce((sum, n) => sum + n, 0);
      expect(ends + lost.length, 'jobs accounted for').toBe(figures.acknowledged);
      expect(figures.acknowledged, 'a case without a job shows nothing').toBeGreaterThan(0);
    } catch (error) {
      if (error instanceof Error) error.message += `\n(seed ${seed}: RQ_FAULT_SEED=${seed} takes it again)`;
      throw error;
    }
  });
}

/** Every case runs as the README's users, so that their rules are enough for whatever happens. */
function withUsers(server: ServerOptions): ServerOptions {
  return { ...server, args: [...ACL_ARGS, ...(server.args ?? [])] };
}

/** A small generator of numbers from a seed: mulberry32. */
function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
