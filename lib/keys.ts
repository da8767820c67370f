/** The name of every Redis key and channel: RQ's own, and the few that are ours. Nothing else builds one. */
import { PREFIX } from './defaults.ts';

/** All keys that belong to one queue: what a script is handed as a unit. */
export interface QueueKeys {
  readonly name: string;
  /** The list of waiting job ids. */
  readonly list: string;
  /** Python's list of ids between its blocking read and their start. */
  readonly intermediate: string;
  /** Sorted sets: the registries. */
  readonly started: string;
  readonly finished: string;
  readonly failed: string;
  readonly canceled: string;
  readonly deferred: string;
  readonly scheduled: string;
  /** Set of the workers that listen. */
  readonly workers: string;
  /** Ours: set of the names of workers that may hold claims on this queue; Python cleans `workers` before we look. */
  readonly claimants: string;
  /** Ours: held by the worker that sweeps the queue. */
  readonly janitor: string;
  /** Ours: hash of what all workers keep to on this queue: `paused`, `rate`. */
  readonly limits: string;
  /** Ours: sorted set of the runs that a rate limit counts, by when they began. */
  readonly starts: string;
  /** Ours: how many jobs were ever taken from the queue; and a list of what a sweep found every few seconds. */
  readonly taken: string;
  readonly samples: string;
  /** Ours: sorted set of the jobs that wait aside, for a slot of their key. */
  readonly parked: string;
  /** Held by a Python scheduler that moves this queue's due jobs. */
  readonly schedulerLock: string;
  /** Ours: hash of the queue's crons, name to definition; sorted set of when each comes next; hash of when each last came. */
  readonly crons: string;
  readonly cronTicks: string;
  readonly cronLast: string;
}

/** Builds the keys under one prefix (`rq` for all that Python is to see). */
export class Keys {
  readonly prefix: string;
  /** Set of the list keys of all queues. */
  readonly queues: string;
  /** Exists while workers are to take no new job. */
  readonly suspended: string;
  /** Set of the keys of all workers. */
  readonly workers: string;
  /** Set of the names of all groups. */
  readonly groups: string;
  /** Ours: hash of the jobs whose dependents are being released, id to how it ended; their sets are this, a colon and the id. */
  readonly releasing: string;
  /** A job's hash is this and its id. */
  readonly jobPrefix: string;
  /** A queue's list, and its deferred registry, are these and its name: for jobs of queues that a script was not given. */
  readonly listPrefix: string;
  readonly deferredPrefix: string;
  /** A queue's started registry is this and its name. */
  readonly startedPrefix: string;
  /** A job's result stream is this and its id. */
  readonly resultsPrefix: string;
  /** Python's index of a job's runs is this and its id. */
  readonly executionsPrefix: string;
  /** A group's set is this and its name. */
  readonly groupPrefix: string;
  /** Ours: a set of the runs that take a key's slots is this and the key. */
  readonly slotsPrefix: string;
  /** Ours: the jobs that wait for a slot of a key are in a sorted set: this and the key; and one of all such keys. */
  readonly parkedPrefix: string;
  readonly parked: string;
  /** Ours: what holds a unique call is this, its queue, a colon and what stands for the call. */
  readonly uniquePrefix: string;
  /** A queue's jobs that wait aside are in this and its name. */
  readonly asidePrefix: string;
  /** A worker's hash is this and its name. */
  readonly workerPrefix: string;
  /** A job's status channel is this, its queue, a colon and its id. */
  readonly statusPrefix: string;
  /** A worker's command channel is this and its name. */
  readonly commandPrefix: string;

  constructor(prefix: string = PREFIX) {
    this.prefix = `${prefix}:`;
    this.queues = `${prefix}:queues`;
    this.suspended = `${prefix}:suspended`;
    this.workers = `${prefix}:workers`;
    this.groups = `${prefix}:groups`;
    this.releasing = `${prefix}:releasing`;
    this.jobPrefix = `${prefix}:job:`;
    this.listPrefix = `${prefix}:queue:`;
    this.deferredPrefix = `${prefix}:deferred:`;
    this.startedPrefix = `${prefix}:wip:`;
    this.resultsPrefix = `${prefix}:results:`;
    this.executionsPrefix = `${prefix}:executions:`;
    this.groupPrefix = `${prefix}:group:`;
    this.slotsPrefix = `${prefix}:slots:`;
    this.parkedPrefix = `${prefix}:parked:`;
    this.parked = `${prefix}:parked`;
    this.uniquePrefix = `${prefix}:unique:`;
    this.asidePrefix = `${prefix}:aside:`;
    this.workerPrefix = `${prefix}:worker:`;
    this.statusPrefix = `${prefix}:status:`;
    this.commandPrefix = `${prefix}:pubsub:`;
  }

  queue(name: string): QueueKeys {
    const { prefix } = this;
    return {
      name,
      list: this.listPrefix + name,
      intermediate: `${this.listPrefix}${name}:intermediate`,
      started: this.startedPrefix + name,
      finished: `${prefix}finished:${name}`,
      failed: `${prefix}failed:${name}`,
      canceled: `${prefix}canceled:${name}`,
      deferred: this.deferredPrefix + name,
      scheduled: `${prefix}scheduled:${name}`,
      workers: `${prefix}workers:${name}`,
      claimants: `${prefix}claimants:${name}`,
      janitor: `${prefix}janitor:${name}`,
      limits: `${prefix}limits:${name}`,
      starts: `${prefix}starts:${name}`,
      taken: `${prefix}taken:${name}`,
      samples: `${prefix}samples:${name}`,
      parked: this.asidePrefix + name,
      schedulerLock: `${prefix}scheduler-lock:${name}`,
      crons: `${prefix}crons:${name}`,
      cronTicks: `${prefix}cron-ticks:${name}`,
      cronLast: `${prefix}cron-last:${name}`,
    };
  }

  job(id: string): string {
    return this.jobPrefix + id;
  }

  /** Set of the ids that wait for this job. */
  dependents(id: string): string {
    return `${this.jobPrefix}${id}:dependents`;
  }

  /** Set of the ids that this job waits for. The double colon is RQ's. */
  dependencies(id: string): string {
    return `${this.jobPrefix}:${id}:dependencies`;
  }

  results(id: string): string {
    return this.resultsPrefix + id;
  }

  /** Ours: the id of the job that stands for a unique call, on its queue. */
  unique(queue: string, call: string): string {
    return `${this.uniquePrefix}${queue}:${call}`;
  }

  worker(name: string): string {
    return this.workerPrefix + name;
  }

  /** Ours: list of the ids between a worker's blocking read and its claim. */
  claims(worker: string, queue: string): string {
    return this.worker(worker) + this.claimsSuffix(queue);
  }

  /** What follows a worker's key in the key of its claims on a queue. */
  claimsSuffix(queue: string): string {
    return `:claims:${queue}`;
  }

  commandChannel(worker: string): string {
    return this.commandPrefix + worker;
  }

  statusChannel(queue: string, id: string): string {
    return `${this.statusPrefix}${queue}:${id}`;
  }
}
