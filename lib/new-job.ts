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
  /** '' for now; unix seconds; or `+` and seconds from now, by Redis' clock. */
  readonly due: string;
  /** Name of the group it belongs to; '' for none. */
  readonly group: string;
  /** Ids of the jobs it waits for, those first that are arguments; and how many these are. */
  readonly dependencies: readonly string[];
  readonly results: number;
  /** How it is unique, as `uniquePlan` gives it; and what stands for its call, where that is so by the call. */
  readonly unique: string;
  readonly call: string;
}

const NONE: readonly string[] = [];

/** A job without options. Written out, as objects that are spread into others are slow to make and to compare. */
export function plainJob(id: string, data: string, description: string, settings: readonly string[]): NewJob {
  return {
    id,
    enqueueId: '',
    atFront: false,
    ttl: 0,
    data,
    description,
    settings,
    due: '',
    group: '',
    dependencies: NONE,
    results: 0,
    unique: '',
    call: '',
  };
}

/** Jobs as the script takes them: neighbours that are alike share what they have in common. */
export function jobsInGroups(jobs: readonly NewJob[]): Argument[] {
  const all: Argument[] = [];
  let counted = 0;
  let last: NewJob | undefined;
  for (const job of jobs) {
    const keyed = job.enqueueId !== '';
    const waits = job.dependencies.length > 0;
    if (last !== undefined && alike(last, job)) all[counted] = (all[counted] as number) + 1;
    else {
      counted = all.length;
      all.push(1, job.settings.length);
      for (const text of job.settings) all.push(text);
      if (isPlain(job)) all.push('');
      else {
        all.push('special', job.atFront ? '1' : '0', job.ttl, keyed ? '1' : '0', job.due, job.group);
        all.push(waits ? '1' : '0', job.unique);
      }
    }
    all.push(job.id, job.data, job.description);
    if (keyed) all.push(job.enqueueId);
    if (job.call !== '') all.push(job.call);
    if (waits) all.push(job.results, job.dependencies.length, ...job.dependencies);
    last = job;
  }
  return all;
}

/** Whether it goes to the back of its queue now, and nothing can be wrong with that. */
function isPlain(job: NewJob): boolean {
  if (job.atFront || job.ttl !== 0 || job.enqueueId !== '' || job.due !== '') return false;
  return job.group === '' && job.unique === '' && job.dependencies.length === 0;
}

function alike(one: NewJob, other: NewJob): boolean {
  if (one.atFront !== other.atFront || one.ttl !== other.ttl) return false;
  if (one.due !== other.due || one.group !== other.group || one.unique !== other.unique) return false;
  if (one.dependencies.length > 0 !== other.dependencies.length > 0) return false;
  if ((one.enqueueId === '') !== (other.enqueueId === '')) return false;
  if (one.settings === other.settings) return true;
  if (one.settings.length !== other.settings.length) return false;
  return one.settings.every((text, i) => text === other.settings[i]);
}
