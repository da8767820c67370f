/** A job on its way to Redis, and the form in which many of them go there. */
import type { Argument } from './script.ts';

export interface NewJob {
  readonly id: string;
  /** Tells a resend from a second call where the caller chose the id; '' where the id was generated. */
  readonly enqueueId: string;
  readonly atFront: boolean;
  /** Seconds until a waiting job expires; 0 for never. */
  readonly ttl: number;
  /** The call, as its field holds it. */
  readonly data: string;
  readonly description: string;
  /** Name and value of each further field: alike for most jobs that are queued together. */
  readonly settings: readonly string[];
}

/** Jobs as the script takes them: neighbours that are alike share what they have in common. */
export function jobsInGroups(jobs: readonly NewJob[]): Argument[] {
  const all: Argument[] = [];
  let counted = 0;
  let last: NewJob | undefined;
  for (const job of jobs) {
    const keyed = job.enqueueId !== '';
    if (last !== undefined && alike(last, job)) all[counted] = (all[counted] as number) + 1;
    else {
      counted = all.length;
      all.push(1, job.atFront ? '1' : '0', job.ttl, keyed ? '1' : '0', job.settings.length);
      for (const text of job.settings) all.push(text);
    }
    all.push(job.id, job.data, job.description);
    if (keyed) all.push(job.enqueueId);
    last = job;
  }
  return all;
}

function alike(one: NewJob, other: NewJob): boolean {
  if (one.atFront !== other.atFront || one.ttl !== other.ttl) return false;
  if ((one.enqueueId === '') !== (other.enqueueId === '')) return false;
  if (one.settings === other.settings) return true;
  if (one.settings.length !== other.settings.length) return false;
  return one.settings.every((text, i) => text === other.settings[i]);
}
