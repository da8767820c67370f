/** One call, made into the job that is stored for it. */
import { randomUUID } from 'node:crypto';
import { callbackPlan } from './callback.ts';
import { dependencyPlan } from './dependency.ts';
import { storedDuration, storedTtl } from './duration.ts';
import {
  checkEnqueueOptions,
  checkLimit,
  objectJson,
  softLimit,
  type EnqueueOptions,
  type QueueDefaults,
} from './enqueue-options.ts';
import { functionName, type FunctionTable } from './functions.ts';
import { checkJson, describeCall, type Json } from './json.ts';
import { newId } from './new-id.ts';
import { plainJob, type NewJob } from './new-job.ts';
import { quote } from './options.ts';
import type { CallRecord } from './record.ts';
import { References } from './reference.ts';
import { repeatPlan } from './repeat-plan.ts';
import { retryPlan } from './retry-plan.ts';
import { callHash, isOfCall, uniquePlan } from './unique.ts';

/** A job as it will be stored, and the call in it. */
export interface Prepared {
  readonly job: NewJob;
  readonly call: CallRecord;
  /** Its callbacks by their names, as far as they were given as functions. */
  readonly callbacks?: FunctionTable;
}

const NO_KWARGS: Readonly<Record<string, Json>> = {};

/**
 * Makes a call that was checked into a job. Of many calls all can be checked before the first is sent, and each be made while
 * Redis works on those before it.
 */
export type Make = () => Prepared;

/**
 * `home` is where the queue's jobs are: which Redis, database and prefix. `nextId` makes the ids of jobs that are given none.
 * @throws {TypeError | RangeError} for anything that can't be stored; nothing is sent then.
 */
export function check(
  name: string,
  args: readonly unknown[],
  given: EnqueueOptions | undefined,
  defaults: QueueDefaults,
  home: string = '',
  nextId: () => string = newId,
): Make {
  if (!Array.isArray(args)) throw new TypeError(`args must be an array, not ${quote(args)}`);
  const references = new References(home);
  checkJson(args, 'args', references);
  if (given === undefined && references.count === 0) return () => plain(nextId(), name, args, defaults);
  const prepared = withOptions(name, args, given === undefined ? {} : given, defaults, references, nextId);
  return () => prepared;
}

let lastName = '';
let lastNameJson = '""';
/** The JSON text of a function's name, which is that of the call before as a rule. */
function nameJson(name: string): string {
  if (name !== lastName) {
    lastNameJson = JSON.stringify(name);
    lastName = name;
  }
  return lastNameJson;
}

function plain(id: string, name: string, args: readonly unknown[], { settings }: QueueDefaults): Prepared {
  const data = `[${nameJson(name)},null,${JSON.stringify(args)},{}]`;
  return {
    job: plainJob(id, data, describeCall(name, args, NO_KWARGS), settings),
    call: { functionName: name, args, kwargs: NO_KWARGS },
  };
}

function withOptions(
  name: string,
  args: readonly unknown[],
  given: EnqueueOptions,
  defaults: QueueDefaults,
  references: References,
  nextId: () => string,
): Prepared {
  const options = checkEnqueueOptions(given);
  const { jobId, timeout, softTimeout, ttl, resultTtl, failureTtl, description, meta } = options;
  const { kwargs = NO_KWARGS, atFront = false, retry, retryFor, noRetryFor, redeliver, repeat } = options;
  // before those of kwargs are noted: the text of an argument has a look at each value only where there are any
  const argsJson = references.stringify(args);
  const data = `[${JSON.stringify(name)},null,${argsJson},${objectJson(kwargs, 'kwargs', references)}]`;
  const limit = timeout === undefined ? defaults.timeout : storedDuration(timeout, 'timeout');
  const settings = ['timeout', String(limit)];
  if (softTimeout !== undefined) settings.push('soft_timeout', String(softLimit(softTimeout, limit)));
  const keep = resultTtl === undefined ? defaults.resultTtl : storedTtl(resultTtl, 'resultTtl');
  if (keep !== undefined) settings.push('result_ttl', String(keep));
  if (failureTtl !== undefined) settings.push('failure_ttl', String(storedTtl(failureTtl, 'failureTtl')));
  const lifetime = ttl === undefined ? -1 : storedDuration(ttl, 'ttl');
  // -1 is what RQ reads an absent ttl as
  if (lifetime > 0) settings.push('ttl', String(lifetime));
  if (meta !== undefined) settings.push('meta', objectJson(meta, 'meta'));
  if (retry !== undefined) {
    const { retriesLeft, intervals } = retryPlan(retry);
    settings.push('retries_left', String(retriesLeft), 'retry_intervals', JSON.stringify(intervals));
  }
  if (retryFor !== undefined) settings.push('retry_for', JSON.stringify(retryFor));
  if (noRetryFor !== undefined) settings.push('no_retry_for', JSON.stringify(noRetryFor));
  if (redeliver === false) settings.push('redeliver', '0');
  if (options.limit !== undefined) {
    const { key, concurrency } = checkLimit(options.limit);
    settings.push('limit_key', key, 'limit_concurrency', String(concurrency));
  }
  if (repeat !== undefined) {
    const { repeatsLeft, intervals } = repeatPlan(repeat);
    settings.push('repeats_left', String(repeatsLeft), 'repeat_intervals', JSON.stringify(intervals));
  }
  const id = jobId ?? nextId();
  const { dependsOn } = options;
  const plan = dependsOn === undefined ? undefined : dependencyPlan(dependsOn, references);
  const dependencies = [...new Set([...references.ids, ...(plan?.ids ?? [])])];
  if (dependsOn !== undefined && dependencies.length === 0) {
    throw new TypeError('dependsOn needs jobs, where there are none among the arguments');
  }
  if (dependencies.includes(id)) throw new TypeError(`Job ${quote(id)} can't wait for itself`);
  if (dependencies.length > 0) {
    settings.push('dependency_id', dependencies[0] ?? '', 'dependency_ids', JSON.stringify(dependencies));
    if (plan?.allowFailure === true) settings.push('allow_dependency_failures', '1');
    if (atFront || plan?.atFront === true) settings.push('enqueue_at_front', '1');
    if (references.count > 0) settings.push('takes_results', '1');
  }
  const callbacks = callbackPlan(options, functionName);
  if (callbacks !== undefined) settings.push('callbacks', callbacks.field);
  const unique = uniquePlan(options.unique, jobId);
  return {
    job: {
      ...plainJob(id, data, description ?? describeCall(name, args, kwargs), settings),
      enqueueId: jobId === undefined ? '' : randomUUID(),
      atFront: atFront || plan?.atFront === true,
      ttl: Math.max(lifetime, 0),
      dependencies,
      results: references.count,
      unique,
      call: isOfCall(unique) ? callHash(data, references.ids) : '',
    },
    call: { functionName: name, args, kwargs },
    ...(callbacks === undefined ? {} : { callbacks: callbacks.functions }),
  };
}
