/** One look at everything: what each queue holds, how its backlog moves, who works, and what failed last. */
import type { Job } from './job.ts';
import type { QueueCounts, WorkerInfo } from './rq.ts';
import type { QueueStats } from './stats.ts';

/** How one queue stands. */
export interface QueueOverview extends QueueCounts, QueueStats {
  readonly paused: boolean;
  /** How many jobs may begin in a time, such as `10/m`. */
  readonly rate: string | undefined;
}

/** A job that failed, with the last line of what is known of it. */
export interface Failure {
  readonly jobId: string;
  readonly queue: string;
  readonly functionName: string;
  readonly error: string;
  readonly at: Date | undefined;
}

export interface Overview {
  readonly at: Date;
  /** Whether all workers take no new job. */
  readonly suspended: boolean;
  readonly queues: readonly QueueOverview[];
  readonly workers: readonly WorkerInfo[];
  /** The newest first, ten at most. */
  readonly failures: readonly Failure[];
}

/** Of each queue's failed registry, that many of those that expire last are looked at. */
export const FAILURES = 10;

export async function failureOf(job: Job): Promise<Failure> {
  const [last] = await job.results().catch(() => []);
  const { name, message } = last?.error ?? { name: job.status, message: '' };
  let functionName = '(unreadable)';
  try {
    ({ functionName } = job);
  } catch {
    // what somebody else wrote is still a failure
  }
  const [line = ''] = message.split('\n');
  return {
    jobId: job.id,
    queue: job.origin,
    functionName,
    error: line === '' ? name : `${name}: ${line}`,
    at: job.endedAt,
  };
}
