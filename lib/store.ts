/** What producers and handles ask of Redis: one method for each verb, speaking ids and plain records. */
import type { Redis } from 'ioredis';
import { Batch } from './batch.ts';
import type { Link } from './connection.ts';
import { PUBLISH_LIMIT } from './defaults.ts';
import { InvalidJobError, NoSuchJobError } from './errors.ts';
import { EnqueueStore } from './enqueue-store.ts';
import { Keys, type QueueKeys } from './keys.ts';
import { cancel } from './lua/cancel.ts';
import { deleteJob } from './lua/delete.ts';
import { fetch } from './lua/fetch.ts';
import { readResults } from './lua/read-results.ts';
import { readState } from './lua/read-state.ts';
import { requestStop } from './lua/request-stop.ts';
import { requeue } from './lua/requeue.ts';
import { saveMeta } from './lua/save-meta.ts';
import { saveProgress } from './lua/save-progress.ts';
import type { Fields, JobStatus } from './record.ts';
import { QueueStore } from './queue-store.ts';
import { errorTextOf, toFields } from './record.ts';
import type { StreamEntry } from './results.ts';
import { Sender, type CallKind } from './sender.ts';
import { StatusFeed } from './status.ts';

/** How a job stands. */
export interface JobState {
  readonly status: JobStatus;
  readonly queue: string;
  /** JSON text, once it finished and a result was kept. */
  readonly result?: string | undefined;
  /** The error's text, once it failed. */
  readonly error?: string | undefined;
  /** The job that keeps a deferred one from running, as it did not finish; or one on the way to it, `deferred` itself. */
  readonly root?: { readonly id: string; readonly status: JobStatus } | undefined;
}

/** What a job was doing when it was taken out, and where it ran. */
export interface Taken {
  readonly was: string;
  readonly worker: string;
  readonly executionId: string;
}

/** What a job was doing that was asked to stop, with whom, and whether that worker gets to know of it. */
export interface StopRequest {
  readonly was: string;
  readonly worker: string;
  readonly noticed: boolean;
}

/** A run, for what its function writes while it goes on. */
export interface OfRun {
  readonly queue: string;
  readonly worker: string;
  readonly executionId: string;
}

export class Store {
  readonly keys: Keys;
  readonly feed: StatusFeed;
  /** Which Redis, database and prefix this is. */
  readonly home: string;
  readonly #link: Link;
  readonly #sender: Sender;
  /** Adds jobs to queues. */
  readonly jobs: EnqueueStore;
  /** What is asked of a queue as a whole. */
  readonly queues: QueueStore;
  readonly #states: Batch<string, JobState | undefined>;
  readonly #fetches: Batch<string, Fields | undefined>;

  constructor(link: Link, keys: Keys = new Keys()) {
    this.#link = link;
    this.#sender = new Sender(link);
    this.keys = keys;
    this.home = `${link.place} ${keys.prefix}`;
    this.feed = new StatusFeed(link, keys);
    this.jobs = new EnqueueStore(this.#sender, keys, (id, queue) => this.delete(id, queue, true));
    this.queues = new QueueStore(this.#sender, keys);
    this.#states = new Batch(1000, ids => this.#readStates(ids), { soon: setImmediate });
    this.#fetches = new Batch(200, ids => this.#fetchAll(ids));
  }

  /** Safe twice. A connection that was handed in stays open. */
  close(): void {
    this.feed.close();
    this.#link.close();
  }

  /** The job's whole hash, or `undefined`; the calls of a tick share a round trip. */
  fetch(id: string): Promise<Fields | undefined> {
    return this.#fetches.add(id);
  }

  async #fetchAll(ids: readonly string[]): Promise<(Fields | undefined | Error)[]> {
    const call = { keys: {}, args: { job_prefix: this.keys.jobPrefix }, rest: [...ids] };
    const found = (await this.#sender.send('fetch jobs', 'read', redis =>
      fetch.runRaw(redis, call),
    )) as unknown[];
    return ids.map((id, i) => {
      const flat = found[i];
      if (!Array.isArray(flat))
        return new InvalidJobError(id, `its key does not hold a job: ${String(flat)}`);
      return flat.length === 0 ? undefined : toFields(flat);
    });
  }

  /** How a job stands, or `undefined` where it is gone; calls that are made together share a round trip. */
  state(id: string): Promise<JobState | undefined> {
    return this.#states.add(id);
  }

  async #readStates(ids: readonly string[]): Promise<(JobState | undefined)[]> {
    const once = [...new Set(ids)];
    const call = { of: this.keys, keys: { releasing: this.keys.releasing }, args: {}, rest: once };
    const replies = (await this.#sender.send('read jobs', 'read', redis =>
      readState.runRaw(redis, call),
    )) as unknown[];
    const states = new Map(once.map((id, i) => [id, toState(replies[i] as (Buffer | null | Buffer[])[])]));
    return ids.map(id => states.get(id));
  }

  /** Ids of the jobs that wait for this one, in no order. */
  dependents(id: string): Promise<string[]> {
    const { keys } = this;
    // those that are on their way to their queues count until they are there
    return this.#sender.send('read dependents', 'read', redis =>
      redis.sunion(keys.dependents(id), `${keys.releasing}:${id}`),
    );
  }

  /** Ids of a group's jobs, in no order. */
  group(name: string): Promise<string[]> {
    return this.#sender.send('read a group', 'read', redis => redis.smembers(this.keys.groupPrefix + name));
  }

  /** All that is kept of a job's runs: fields of its hash, and its result stream, newest first; `undefined` where it is gone. */
  async results(id: string): Promise<{ hash: Fields; entries: StreamEntry[] } | undefined> {
    const call = { keys: { job: this.keys.job(id), results: this.keys.results(id) }, args: {} };
    const [flat, entries] = (await this.#sender.send('read results', 'read', redis =>
      readResults.runRaw(redis, call),
    )) as [Buffer[], StreamEntry[]];
    return flat.length === 0 ? undefined : { hash: toFields(flat), entries };
  }

  /** Takes a job that has not ended out of its queue; answers what it was doing, `gone` where it is not there. */
  cancel(id: string, queue: string, enqueueDependents: boolean): Promise<Taken> {
    return this.#onItsQueue(queue, 'repeatable', 'cancel', (redis, unit) =>
      cancel.run(redis, {
        of: this.keys,
        keys: {
          job: this.keys.job(id),
          dependencies: this.keys.dependencies(id),
          releasing: this.keys.releasing,
          all: this.keys.queues,
          parked: this.keys.parked,
        },
        queues: [unit],
        args: {
          id,
          queue_name: unit.name,
          release: enqueueDependents ? '1' : '0',
        },
      }),
    );
  }

  /** Removes a job and all that is kept about it, or only where it has ended; answers what it was doing. */
  delete(id: string, queue: string, onlyEnded: boolean = false): Promise<Taken> {
    const { keys } = this;
    return this.#onItsQueue(queue, 'repeatable', 'delete', (redis, unit) =>
      deleteJob.run(redis, {
        of: this.keys,
        keys: {
          job: keys.job(id),
          results: keys.results(id),
          dependencies: keys.dependencies(id),
          releasing: keys.releasing,
          all: keys.queues,
          parked: keys.parked,
        },
        queues: [unit],
        args: {
          id,
          queue_name: unit.name,
          only_ended: onlyEnded ? '1' : '0',
        },
      }),
    );
  }

  /** Puts a job that has ended back on its queue; answers what it was doing. */
  requeue(id: string, queue: string, atFront: boolean): Promise<Taken> {
    return this.#onItsQueue(queue, 'write', 'requeue', (redis, unit) =>
      requeue.run(redis, {
        of: this.keys,
        keys: { job: this.keys.job(id), all: this.keys.queues },
        queues: [unit],
        args: {
          id,
          queue_name: unit.name,
          front: atFront ? '1' : '0',
        },
      }),
    );
  }

  /** Tells those who listen as well, where the job's own function writes it. @throws {NoSuchJobError} where the job is gone. */
  async saveMeta(id: string, meta: string, run?: OfRun): Promise<void> {
    const published = run !== undefined && meta.length <= PUBLISH_LIMIT ? '1' : '0';
    const call = {
      of: this.keys,
      keys: { job: this.keys.job(id) },
      args: { ...this.#ofRun(id, run), meta, published },
    };
    const saved = await this.#sender.send('save meta', 'repeatable', redis => saveMeta.run(redis, call));
    if (Number(saved) === 0) throw new NoSuchJobError(id);
  }

  /** Keeps how far a run is, and tells those who listen; passes over a run that is not the job's any more. */
  async saveProgress(id: string, progress: string, run: OfRun): Promise<void> {
    const call = {
      of: this.keys,
      keys: { job: this.keys.job(id) },
      args: { ...this.#ofRun(id, run), progress },
    };
    await this.#sender.send('save progress', 'repeatable', redis => saveProgress.run(redis, call));
  }

  #ofRun(
    id: string,
    run: OfRun = { queue: '', worker: '', executionId: '' },
  ): Record<'id' | 'queue_name' | 'worker' | 'run', string> {
    const { queue, worker, executionId } = run;
    return { id, queue_name: queue, worker, run: executionId };
  }

  /** Asks the worker of a job's run to end it. */
  async requestStop(id: string): Promise<StopRequest> {
    const call = {
      of: this.keys,
      keys: { job: this.keys.job(id) },
      args: { id },
    };
    const [was, worker, heard, marked] = (await this.#sender.send('stop', 'repeatable', redis =>
      requestStop.run(redis, call),
    )) as [string, string, number | string, number | string];
    return { was, worker, noticed: Number(heard) > 0 || Number(marked) > 0 };
  }

  /** Sends a worker a command; answers how many listened. */
  command(worker: string, command: Readonly<Record<string, string>>): Promise<number> {
    const channel = this.keys.commandChannel(worker);
    return this.#sender.send('send a command', 'repeatable', redis =>
      redis.publish(channel, JSON.stringify(command)),
    );
  }

  /** Runs a script on the queue a job is said to be on, and on the one it really is on where that was wrong. */
  async #onItsQueue(
    queue: string,
    kind: CallKind,
    what: string,
    run: (redis: Redis, unit: QueueKeys) => Promise<unknown>,
  ): Promise<Taken> {
    const unit = this.keys.queue(queue);
    const [was = '', worker = '', executionId = ''] = (await this.#sender.send(what, kind, redis =>
      run(redis, unit),
    )) as string[];
    return was === 'elsewhere' ? this.#onItsQueue(worker, kind, what, run) : { was, worker, executionId };
  }
}

function toState([status, queue, result, error, entry, root, rootStatus]: (Buffer | null | Buffer[])[]):
  JobState | undefined {
  if (!Buffer.isBuffer(status)) return undefined;
  const streamed = Array.isArray(entry) ? toFields(entry) : undefined;
  const value = streamed?.get('return_value');
  const exception = streamed?.get('exc_string');
  return {
    status: status.toString() as JobStatus,
    queue: Buffer.isBuffer(queue) ? queue.toString() : '',
    root:
      Buffer.isBuffer(root) && Buffer.isBuffer(rootStatus)
        ? { id: root.toString(), status: rootStatus.toString() as JobStatus }
        : undefined,
    result: textIn(result) ?? (value && Buffer.from(value.toString(), 'base64').toString()),
    error:
      (Buffer.isBuffer(error) ? errorTextOf(error) : undefined) ??
      (exception && errorTextOf(Buffer.from(exception.toString(), 'base64'))),
  };
}

function textIn(value: Buffer | null | Buffer[] | undefined): string | undefined {
  return Buffer.isBuffer(value) && value.length > 0 ? value.toString() : undefined;
}
