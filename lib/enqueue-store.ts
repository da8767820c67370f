/** How new jobs come to Redis: those of a tick together, or all of a chain or a group in one step. */
import { Batch } from './batch.ts';
import { ENQUEUE_BATCH, ENQUEUE_CALM, ENQUEUE_LENGTH } from './defaults.ts';
import {
  DependencyCycleError,
  DependencyFailedError,
  DuplicateJobError,
  OutcomeUnknownError,
  RedisRefusedError,
} from './errors.ts';
import type { Keys, QueueKeys } from './keys.ts';
import { enqueue } from './lua/enqueue.ts';
import { jobsInGroups, type NewJob } from './new-job.ts';
import type { JobStatus } from './record.ts';
import type { Sender } from './sender.ts';

/** How a job was enqueued; or, of a unique call, the job that is there instead, and how that stands. */
export type Enqueued = JobStatus | { readonly id: string; readonly status: JobStatus | 'gone' };

/** What the enqueue script answers, from 1. */
const ENQUEUED: readonly JobStatus[] = ['queued', 'deferred', 'scheduled'];
const ELSEWHERE = /^elsewhere:(.*)$/;

export class EnqueueStore {
  readonly keys: Keys;
  readonly #sender: Sender;
  readonly #clear: (id: string, queue: string) => Promise<unknown>;
  readonly #enqueues: Map<string, Batch<NewJob, Promise<Enqueued> | Enqueued>> = new Map();

  /** `clear` deletes a job that has ended on another queue, whose keys the script was not given. */
  constructor(sender: Sender, keys: Keys, clear: (id: string, queue: string) => Promise<unknown>) {
    this.#sender = sender;
    this.keys = keys;
    this.#clear = clear;
  }

  /**
   * Adds one job; the calls of a tick share a round trip, and those that come while enough are under way.
   * @throws {DuplicateJobError} {ConnectionError} {OutcomeUnknownError} {RedisRefusedError}
   */
  add(queue: QueueKeys, job: NewJob): Promise<Enqueued> {
    return this.#batch(queue).add(job);
  }

  /** The same, and what is made of it. @throws as `add` does. */
  addAnd<T>(queue: QueueKeys, job: NewJob, make: (added: Enqueued) => T | PromiseLike<T>): Promise<T> {
    return this.#batch(queue).addAnd(job, make);
  }

  /** The same for several, in their order; rejects as the first that could not be added. */
  addAll(queue: QueueKeys, jobs: Iterable<NewJob>): Promise<Enqueued[]> {
    return this.#batch(queue).addAll(jobs);
  }

  #batch(queue: QueueKeys): Batch<NewJob, Promise<Enqueued> | Enqueued> {
    let batch = this.#enqueues.get(queue.name);
    if (batch === undefined) {
      const weight = { most: ENQUEUE_LENGTH, of: ({ data }: NewJob) => data.length };
      batch = new Batch(ENQUEUE_BATCH, jobs => this.#enqueueAll(queue, jobs), {
        weight,
        calm: ENQUEUE_CALM,
      });
      this.#enqueues.set(queue.name, batch);
    }
    return batch;
  }

  /** Adds jobs in one step, whatever their number: all of them, or none. */
  async addTogether(queue: QueueKeys, jobs: readonly NewJob[]): Promise<Enqueued[]> {
    const replies = await this.#sendJobs(queue, jobs, true);
    if (replies === undefined) return Array<Enqueued>(jobs.length).fill('queued');
    const away = replies.map(reply => ELSEWHERE.exec(String(reply))?.[1]);
    if (away.every((there, i) => there !== undefined || Number(replies[i]) >= 1)) {
      const cleared = jobs.flatMap(({ id }, i) => (away[i] === undefined ? [] : this.#clear(id, away[i])));
      if ((await Promise.all(cleared)).length > 0) return this.addTogether(queue, jobs);
    }
    // several may be refused: each of these promises needs an owner
    return Promise.all(
      replies.map(async (reply, i) =>
        away[i] === undefined ? this.#enqueued(queue, jobs[i] as NewJob, reply) : 'queued',
      ),
    );
  }

  /** Adds one job to a list that is not its queue's own, so that no worker takes it. */
  async addAside(queue: QueueKeys, list: string, job: NewJob): Promise<Enqueued | undefined> {
    const [added] = await this.#enqueueAll({ ...queue, list }, [job]);
    if (added instanceof Error) throw added;
    return added;
  }

  async #enqueueAll(
    queue: QueueKeys,
    jobs: readonly NewJob[],
  ): Promise<(Promise<Enqueued> | Enqueued | Error)[]> {
    try {
      const replies = await this.#sendJobs(queue, jobs, false);
      if (replies === undefined) return Array<Enqueued>(jobs.length).fill('queued');
      return replies.map((reply, i) => this.#enqueued(queue, jobs[i] as NewJob, reply));
    } catch (error) {
      // calls that shared a round trip share their error, but not their job
      if (!(error instanceof OutcomeUnknownError)) throw error;
      const { message, cause } = error;
      return jobs.map(({ id }) => new OutcomeUnknownError(message, { cause, jobId: id }));
    }
  }

  /** Replies of the script, one for each job; `undefined` where all of them were queued. */
  #sendJobs(
    queue: QueueKeys,
    jobs: readonly NewJob[],
    together: boolean,
  ): Promise<readonly unknown[] | undefined> {
    return this.#sender.send('enqueue', 'repeatable', async (redis, again) => {
      const replies = await enqueue.run(redis, {
        of: this.keys,
        keys: {},
        args: {
          queue_name: queue.name,
          list: queue.list,
          mode: (together ? 'together ' : '') + (again ? 'again' : ''),
        },
        rest: jobsInGroups(jobs),
      });
      return Array.isArray(replies) ? (replies as unknown[]) : undefined;
    });
  }

  #enqueued(queue: QueueKeys, job: NewJob, reply: unknown): Promise<Enqueued> | Enqueued {
    if (Number(reply) >= 1) return ENQUEUED[Number(reply) - 1] ?? 'queued';
    return this.#notEnqueued(queue, job, String(reply));
  }

  async #notEnqueued(queue: QueueKeys, job: NewJob, reply: string): Promise<Enqueued> {
    const colon = reply.indexOf(':');
    const [kind, detail] = [reply.slice(0, colon), reply.slice(colon + 1)];
    if (kind === 'duplicate') throw new DuplicateJobError(job.id, detail);
    if (kind === 'same') {
      const [id = '', status = ''] = detail.split(':');
      if (!job.unique.startsWith('return')) throw new DuplicateJobError(id, status, 'call');
      return { id, status: status as JobStatus | 'gone' };
    }
    if (kind === 'elsewhere') {
      // ended on another queue, whose keys this script was not given: cleared away there, then added here
      await this.#clear(job.id, detail);
      return this.add(queue, job);
    }
    if (kind === 'gone') throw new DependencyFailedError(job.id, detail, 'gone');
    if (kind === 'cycle') throw new DependencyCycleError(job.id, detail);
    if (kind === 'after') throw new DependencyFailedError(job.id, detail, 'gone');
    throw new RedisRefusedError(`Redis refused to enqueue job ${job.id}: ${detail}`);
  }
}
