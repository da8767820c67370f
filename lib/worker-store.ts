/** What a worker asks of Redis: one method for each verb. Nothing here is sent twice; who calls knows what may be repeated. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import {
  nextTurnOf,
  toReply,
  type AdvanceAnswer,
  type AdvanceReply,
  type AdvanceRequest,
  type DequeueStrategy,
} from './advance.ts';
import type { DueCron } from './cron-store.ts';
import {
  CRON_BATCH,
  DUE_BATCH,
  DUE_PATIENCE,
  FEW_CHANNELS,
  LEASE,
  LEASE_MARGIN,
  MAX_RECOVERIES,
  SWEEP_BATCH,
  SWEEP_MS,
  WORKER_TTL_MARGIN,
} from './defaults.ts';
import { WorkerNameTakenError } from './errors.ts';
import type { Keys, QueueKeys } from './keys.ts';
import { advance, PROBATION } from './lua/advance.ts';
import { giveBack } from './lua/give-back.ts';
import { heartbeat } from './lua/heartbeat.ts';
import { queueDue } from './lua/queue-due.ts';
import { releaseClaims } from './lua/release-claims.ts';
import { renew } from './lua/renew.ts';
import { sweep } from './lua/sweep.ts';
import { unregister } from './lua/unregister.ts';
import { inGroups, type RunRef } from './outcome.ts';

/** What a worker says of itself with a heartbeat. */
export interface Report {
  readonly state: 'started' | 'idle' | 'busy' | 'suspended';
  readonly currentJob: string;
  readonly finished: number;
  readonly failed: number;
  readonly seconds: number;
}

/** What a renewal found, by execution id. */
export interface Renewed {
  readonly lost: readonly string[];
  readonly stops: readonly string[];
}

export interface Swept {
  /** Whether this worker did the round; else another one does. */
  readonly held: boolean;
  readonly more: boolean;
  readonly recovered: readonly string[];
  readonly abandoned: readonly string[];
  readonly claims: number;
}

export interface Due {
  /** Whether there are more scheduled jobs, or dependents. */
  readonly more: boolean;
  /** Unix seconds of Redis' clock. */
  readonly now: number;
  readonly crons: readonly DueCron[];
}

export interface WorkerStoreOptions {
  /** Seconds that a run is the worker's own without a renewal. */
  readonly lease?: number;
  /** How often a lost job goes back to its queue, before the next loss fails it. */
  readonly maxRecoveries?: number;
  /** Most jobs, `<number>/<milliseconds>`, by queue, where Redis holds no other rate. */
  readonly rates?: ReadonlyMap<string, string>;
  /** How often each queue is drawn beside the others, by name; 1 by default. */
  readonly weights?: ReadonlyMap<string, number> | undefined;
  /** Takes what is in its claims and nothing else, whatever it should keep to: so a job can be run at once where it is enqueued. */
  readonly aside?: boolean;
}

export class WorkerStore {
  readonly keys: Keys;
  readonly worker: string;
  readonly queues: readonly string[];
  readonly #units: readonly (QueueKeys & { readonly claims: string })[];
  readonly lease: number;
  readonly #maxRecoveries: number;
  readonly #rates: string;
  readonly #weights: string;
  /** Marks every execution id of this worker: 64 random bits. */
  readonly #tag: string = `n${randomBytes(8).toString('hex')}`;
  readonly #names: string;
  readonly #aside: boolean;
  readonly #probation: number;
  /** Whether `advance` needs to be told nothing of how it takes jobs. */
  readonly #plain: boolean;
  /** Whether one look at all pub/sub channels costs less than one for each job. */
  #fewChannels = false;
  #calls = 0;
  #turn = 1;

  constructor(
    keys: Keys,
    worker: string,
    queues: readonly string[],
    { lease = LEASE, maxRecoveries = MAX_RECOVERIES, rates, weights, aside = false }: WorkerStoreOptions = {},
  ) {
    this.keys = keys;
    this.worker = worker;
    this.queues = queues;
    this.#units = queues.map(name => {
      const claims = keys.claims(worker, name);
      return { ...keys.queue(name), claims, ...(aside ? { list: claims } : {}) };
    });
    this.#names = queues.join(',');
    this.#aside = aside;
    this.lease = lease;
    this.#maxRecoveries = maxRecoveries;
    this.#rates =
      rates === undefined || rates.size === 0 ? '' : queues.map(name => rates.get(name) ?? '-').join(',');
    this.#weights = weights === undefined ? '' : queues.map(name => weights.get(name) ?? 1).join(',');
    this.#probation = Math.max(1, maxRecoveries - 1);
    this.#plain = !aside && this.#probation === PROBATION && this.#rates === '' && this.#weights === '';
  }

  /** Seconds that the worker's hash outlives its last heartbeat. */
  get ttl(): number {
    return Math.ceil(this.lease) + WORKER_TTL_MARGIN;
  }

  /** The list that a blocking read of the queue moves an id to. */
  claimsKey(queue: number): string {
    return this.#unit(queue).claims;
  }

  listKey(queue: number): string {
    return this.#unit(queue).list;
  }

  /** Hands in outcomes and takes jobs: safe to repeat for the outcomes; jobs whose reply was lost are found by `findRuns`. */
  async advance(
    redis: Redis,
    { handIns, want, claims, strategy, single = false }: AdvanceRequest,
  ): Promise<AdvanceReply> {
    const call = this.#calls++;
    const runPrefix = this.#tag + call.toString(36).padStart(13, '0');
    const turn =
      strategy === 'random' || strategy === 'weighted' ? Math.floor(Math.random() * 0x7fffffff) : this.#turn;
    // calls that are sent before the reply begin where this one ends, should the queues hold enough
    if (want !== 'claims') this.#turn = ((this.#turn - 1 + want) % this.queues.length) + 1;
    const plain = strategy === 'default' && !single && this.#plain;
    const reply = (await advance.runRaw(redis, {
      of: this.keys,
      keys: {},
      args: {
        queue_names: this.#names,
        worker: this.worker,
        run_prefix: runPrefix,
        lease: this.lease + LEASE_MARGIN,
        want,
        claims: claims.size === 0 ? '' : this.#units.map((_, i) => (claims.has(i) ? '1' : '0')).join(''),
        few_channels: this.#fewChannels ? '1' : '0',
        how: plain ? '' : this.#how(strategy, turn, single),
      },
      rest: inGroups(handIns),
    })) as AdvanceAnswer;
    if (call + 1 === this.#calls && strategy === 'round_robin') this.#turn = nextTurnOf(reply);
    return toReply(reply, runPrefix);
  }

  #how(strategy: DequeueStrategy, turn: number, single: boolean): string {
    const flags = [single ? 1 : 0, this.#aside ? 1 : 0];
    return [strategy, turn, this.#probation, ...flags, this.#rates, this.#weights].join(';');
  }

  /** Registers the worker where it is not; answers whether it was not. @throws {WorkerNameTakenError} */
  async heartbeat(redis: Redis, report: Report, fields: readonly string[]): Promise<boolean> {
    const { state, currentJob, finished, failed, seconds } = report;
    const anew = await heartbeat.run(redis, {
      keys: { worker: this.keys.worker(this.worker), workers: this.keys.workers },
      queues: this.#units,
      args: {
        name: this.worker,
        mark: this.#tag,
        ttl: this.ttl,
        state,
        job: currentJob,
        finished,
        failed,
        seconds,
      },
      rest: [...fields],
    });
    if (anew === -1) throw new WorkerNameTakenError(this.worker);
    return anew === 1;
  }

  /** Looks how many pub/sub channels there are, which decides how `advance` finds out who listens. */
  async countChannels(redis: Redis): Promise<void> {
    const [, channels] = /^pubsub_channels:(\d+)/m.exec(await redis.info('stats')) ?? [];
    this.#fewChannels = channels !== undefined && Number(channels) < FEW_CHANNELS;
  }

  async unregister(redis: Redis): Promise<void> {
    await unregister.run(redis, {
      keys: { worker: this.keys.worker(this.worker), workers: this.keys.workers },
      queues: this.#units,
      args: { name: this.worker },
    });
  }

  /** Renews the leases of these runs; answers which are not the worker's any more, and which are asked to stop. */
  async renew(redis: Redis, runs: readonly RunRef[]): Promise<Renewed> {
    const [lost, stops] = (await renew.run(redis, {
      of: this.keys,
      keys: {},
      queues: this.#units,
      args: { worker: this.worker, lease: this.lease + LEASE_MARGIN },
      rest: runs.flatMap(({ place, jobId, executionId }) => [place + 1, jobId, executionId]),
    })) as [string[], string[]];
    return { lost, stops };
  }

  /** Gives runs back to the front of their queues, uncounted; answers how many were still the worker's. */
  async giveBack(redis: Redis, runs: readonly RunRef[]): Promise<number> {
    return (await giveBack.run(redis, {
      of: this.keys,
      keys: { all: this.keys.queues, parked: this.keys.parked },
      queues: this.#units,
      args: {
        worker: this.worker,
        queue_names: this.queues.join(','),
      },
      rest: runs.flatMap(({ place, jobId, executionId }) => [place + 1, jobId, executionId]),
    })) as number;
  }

  /** Puts what ended blocking reads took back to the front of the queues. */
  async releaseClaims(redis: Redis): Promise<number> {
    return (await releaseClaims.run(redis, { keys: {}, queues: this.#units, args: {} })) as number;
  }

  /** Runs of this worker that the started registries hold: among them those whose reply was lost. */
  async findRuns(redis: Redis): Promise<RunRef[]> {
    const found: RunRef[] = [];
    for (const [place, { started }] of this.#units.entries()) {
      let cursor = '0';
      do {
        // through a script's shape of reply this would be one long call; a scan lets others in between
        const [next, flat] = await redis.zscan(started, cursor, 'MATCH', `*:${this.#tag}*`, 'COUNT', 1000);
        cursor = next;
        for (let i = 0; i < flat.length; i += 2) {
          const member = flat[i] ?? '';
          const colon = member.lastIndexOf(':');
          found.push({ place, jobId: member.slice(0, colon), executionId: member.slice(colon + 1) });
        }
      } while (cursor !== '0');
    }
    return found;
  }

  /** Queues scheduled jobs whose time has come, and dependents of jobs that ended; answers which crons are due. */
  async queueDue(redis: Redis): Promise<Due> {
    const [more, now, crons] = (await queueDue.run(redis, {
      of: this.keys,
      keys: { all: this.keys.queues, releasing: this.keys.releasing },
      queues: this.#units,
      args: {
        queue_names: this.queues.join(','),
        most: DUE_BATCH,
        patience: DUE_PATIENCE,
        cron_most: CRON_BATCH,
      },
    })) as [number, string, [number, string, string, string][]];
    return {
      more: more === 1,
      now: Number(now),
      crons: crons.map(([queue, name, tick, definition]) => ({ place: queue - 1, name, tick, definition })),
    };
  }

  /** One round of the janitor on one queue, or the next part of it. */
  async sweep(redis: Redis, queue: number, goOn: boolean): Promise<Swept> {
    const unit = this.#unit(queue);
    const [held, more, recovered, abandoned, claims] = (await sweep.run(redis, {
      of: this.keys,
      keys: {
        all: this.keys.queues,
        workers: this.keys.workers,
        releasing: this.keys.releasing,
        parked: this.keys.parked,
        groups: this.keys.groups,
      },
      queues: [unit],
      args: {
        patience: DUE_PATIENCE,
        look_again: (SWEEP_MS * 0.8) / 1000,
        claims_suffix: this.keys.claimsSuffix(unit.name),
        queue_name: unit.name,
        sweeper: this.worker,
        // a little less than the time between two rounds, so that the same worker may do the next one
        lock_ms: goOn ? 0 : Math.floor(SWEEP_MS * 0.9),
        margin: LEASE_MARGIN,
        silent_ms: WORKER_TTL_MARGIN * 1000,
        max_recoveries: this.#maxRecoveries,
        most: SWEEP_BATCH,
        offset: Math.random().toFixed(6),
      },
    })) as [number, number, string[], string[], number];
    return { held: held === 1, more: more === 1, recovered, abandoned, claims };
  }

  #unit(queue: number): QueueKeys & { readonly claims: string } {
    const unit = this.#units[queue];
    if (unit === undefined) throw new RangeError(`No queue ${queue} among ${this.queues.length}`);
    return unit;
  }
}
