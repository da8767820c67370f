/** What is counted of one worker, by Prometheus' conventions: seconds, `_total` for what only grows. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { JobEndEvent, JobEvent } from '../worker/events.ts';

/** The label of all functions that the worker has not: names come from jobs, and there is no end to them. No function has a space in its name. */
const OTHER = 'not registered';
/** Of the process, so they are counted once, however many workers it has. */
const ofProcess: Registry = new Registry();
collectDefaultMetrics({ register: ofProcess });

/** How a queue stands, for all workers. */
export interface QueueState {
  readonly queue: string;
  readonly length: number;
  readonly oldestAge: number;
  readonly arrivals: number | undefined;
  readonly departures: number | undefined;
  readonly registries: Readonly<Record<string, number>>;
}

export class Metrics {
  readonly #registry: Registry = new Registry();
  readonly #isKnown: (functionName: string) => boolean;
  readonly #jobs: Counter<'queue' | 'function' | 'outcome'>;
  readonly #retries: Counter<'queue' | 'function'>;
  readonly #recoveries: Counter<'queue'>;
  readonly #abandoned: Counter<'queue'>;
  readonly #duration: Histogram<'queue' | 'function'>;
  readonly #wait: Histogram<'queue'>;
  readonly #running: Gauge;
  readonly #concurrency: Gauge;
  readonly #up: Gauge;
  readonly #calls: Histogram<'call'>;
  readonly #callErrors: Counter<'call'>;
  readonly #length: Gauge<'queue'>;
  readonly #age: Gauge<'queue'>;
  readonly #arrivals: Gauge<'queue'>;
  readonly #departures: Gauge<'queue'>;
  readonly #registries: Gauge<'queue' | 'registry'>;

  /** `isKnown` says whether a function's name may become a label: so there are as many as the worker has functions. */
  constructor(queues: readonly string[], isKnown: (functionName: string) => boolean) {
    this.#isKnown = isKnown;
    const registers = [this.#registry];
    const queue = ['queue'] as const;
    const perFunction = ['queue', 'function'] as const;
    this.#jobs = new Counter({
      name: 'rq_jobs_total',
      help: 'Runs of jobs that ended for good, by outcome: finished, failed, stopped, returned, lost',
      labelNames: [...perFunction, 'outcome'],
      registers,
    });
    this.#retries = new Counter({
      name: 'rq_job_retries_total',
      help: 'Runs that failed and whose job runs again',
      labelNames: perFunction,
      registers,
    });
    this.#recoveries = new Counter({
      name: 'rq_job_recoveries_total',
      help: 'Jobs of workers that died which this worker put back on their queue',
      labelNames: queue,
      registers,
    });
    this.#abandoned = new Counter({
      name: 'rq_jobs_abandoned_total',
      help: 'Jobs that this worker failed because they were lost to dead workers too often',
      labelNames: queue,
      registers,
    });
    this.#duration = new Histogram({
      name: 'rq_job_duration_seconds',
      help: 'How long runs took, however they ended',
      labelNames: perFunction,
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 3600],
      registers,
    });
    this.#wait = new Histogram({
      name: 'rq_job_wait_seconds',
      help: 'How long jobs had waited on their queue when they were started',
      labelNames: queue,
      buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400],
      registers,
    });
    this.#running = new Gauge({
      name: 'rq_worker_running_jobs',
      help: 'Jobs that this worker runs',
      registers,
    });
    this.#concurrency = new Gauge({
      name: 'rq_worker_concurrency',
      help: 'Jobs that this worker runs at most',
      registers,
    });
    this.#up = new Gauge({
      name: 'rq_redis_up',
      help: 'Whether Redis answered: where it did not, nothing is said of queues',
      registers,
    });
    this.#calls = new Histogram({
      name: 'rq_redis_call_duration_seconds',
      help: 'Round trips of the worker’s calls to Redis',
      labelNames: ['call'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    });
    this.#callErrors = new Counter({
      name: 'rq_redis_call_errors_total',
      help: 'Calls of the worker to Redis that failed, or whose reply was lost',
      labelNames: ['call'],
      registers,
    });
    this.#length = new Gauge({
      name: 'rq_queue_length',
      help: 'Jobs that wait on the queue',
      labelNames: queue,
      registers,
    });
    this.#age = new Gauge({
      name: 'rq_queue_oldest_age_seconds',
      help: 'How long the next job has waited on the queue; 0 where none waits',
      labelNames: queue,
      registers,
    });
    this.#arrivals = new Gauge({
      name: 'rq_queue_arrivals_per_second',
      help: 'Jobs a second that came to the queue, over the last minute',
      labelNames: queue,
      registers,
    });
    this.#departures = new Gauge({
      name: 'rq_queue_departures_per_second',
      help: 'Jobs a second that were taken from the queue, over the last minute',
      labelNames: queue,
      registers,
    });
    this.#registries = new Gauge({
      name: 'rq_registry_jobs',
      help: 'Jobs of the queue that are started, scheduled, deferred, kept as failed, or wait aside for a slot of their key',
      labelNames: ['queue', 'registry'],
      registers,
    });
    // a rate needs a 0 to begin with
    for (const name of queues) {
      this.#recoveries.inc({ queue: name }, 0);
      this.#abandoned.inc({ queue: name }, 0);
    }
  }

  /** A run began, after its job had waited so many seconds. */
  began(job: JobEvent): void {
    if (job.waited !== undefined) this.#wait.observe({ queue: job.queue }, job.waited);
  }

  ended(job: JobEndEvent, outcome: 'finished' | 'failed' | 'stopped'): void {
    const labels = this.#labels(job);
    this.#jobs.inc({ ...labels, outcome });
    this.#duration.observe(labels, job.seconds);
  }

  /** The run came to no end of its job's: it goes back, or it is another's now. */
  left(job: JobEvent, outcome: 'returned' | 'lost'): void {
    this.#jobs.inc({ ...this.#labels(job), outcome });
  }

  retried(job: JobEndEvent): void {
    const labels = this.#labels(job);
    this.#retries.inc(labels);
    this.#duration.observe(labels, job.seconds);
  }

  recovered(queue: string, jobs: number): void {
    this.#recoveries.inc({ queue }, jobs);
  }

  abandoned(queue: string, jobs: number): void {
    this.#abandoned.inc({ queue }, jobs);
  }

  called(call: string, seconds: number, failed: boolean): void {
    this.#calls.observe({ call }, seconds);
    if (failed) this.#callErrors.inc({ call });
  }

  /** All as Prometheus reads it; `queues` are how they stand, `undefined` where Redis did not answer. */
  async text(
    worker: { readonly running: number; readonly concurrency: number },
    queues: readonly QueueState[] | undefined,
  ): Promise<string> {
    this.#running.set(worker.running);
    this.#concurrency.set(worker.concurrency);
    this.#up.set(queues === undefined ? 0 : 1);
    // what is not known is not said
    for (const gauge of [this.#length, this.#age, this.#arrivals, this.#departures]) gauge.reset();
    this.#registries.reset();
    for (const { queue, length, oldestAge, arrivals, departures, registries } of queues ?? []) {
      this.#length.set({ queue }, length);
      this.#age.set({ queue }, oldestAge);
      if (arrivals !== undefined) this.#arrivals.set({ queue }, arrivals);
      if (departures !== undefined) this.#departures.set({ queue }, departures);
      for (const [registry, jobs] of Object.entries(registries))
        this.#registries.set({ queue, registry }, jobs);
    }
    return (await Promise.all([this.#registry.metrics(), ofProcess.metrics()])).join('\n');
  }

  #labels({ queue, functionName }: JobEvent): { readonly queue: string; readonly function: string } {
    return { queue, function: this.#isKnown(functionName) ? functionName : OTHER };
  }
}
