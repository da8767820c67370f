/** What is the same in every call of the scripts of one prefix, and so stands in their texts. */
import { ERRORS_KEPT, ERROR_BYTES, FAILURE_TTL, RELEASE_BATCH, UNIQUE_TTL } from './defaults.ts';
import type { Keys } from './keys.ts';

export type Constant =
  | 'all'
  | 'groups'
  | 'releasing'
  | 'suspended'
  | 'parked'
  | 'finished_prefix'
  | 'failed_prefix'
  | 'canceled_prefix'
  | 'scheduled_prefix'
  | 'limits_prefix'
  | 'starts_prefix'
  | 'taken_prefix'
  | 'job_prefix'
  | 'list_prefix'
  | 'started_prefix'
  | 'deferred_prefix'
  | 'results_prefix'
  | 'executions_prefix'
  | 'group_prefix'
  | 'unique_prefix'
  | 'slots_prefix'
  | 'parked_prefix'
  | 'aside_prefix'
  | 'worker_prefix'
  | 'claims_infix'
  | 'status_prefix'
  | 'command_prefix'
  | 'errors_kept'
  | 'error_bytes'
  | 'failure_ttl'
  | 'unique_ttl'
  | 'release_most';

const CONSTANTS: Readonly<Record<Constant, (keys: Keys) => string | number>> = {
  all: keys => keys.queues,
  groups: keys => keys.groups,
  releasing: keys => keys.releasing,
  suspended: keys => keys.suspended,
  parked: keys => keys.parked,
  finished_prefix: keys => keys.queue('').finished,
  failed_prefix: keys => keys.queue('').failed,
  canceled_prefix: keys => keys.queue('').canceled,
  scheduled_prefix: keys => keys.queue('').scheduled,
  limits_prefix: keys => keys.queue('').limits,
  starts_prefix: keys => keys.queue('').starts,
  taken_prefix: keys => keys.queue('').taken,
  job_prefix: keys => keys.jobPrefix,
  list_prefix: keys => keys.listPrefix,
  started_prefix: keys => keys.startedPrefix,
  deferred_prefix: keys => keys.deferredPrefix,
  results_prefix: keys => keys.resultsPrefix,
  executions_prefix: keys => keys.executionsPrefix,
  group_prefix: keys => keys.groupPrefix,
  unique_prefix: keys => keys.uniquePrefix,
  slots_prefix: keys => keys.slotsPrefix,
  parked_prefix: keys => keys.parkedPrefix,
  aside_prefix: keys => keys.asidePrefix,
  claims_infix: keys => keys.claimsSuffix(''),
  worker_prefix: keys => keys.workerPrefix,
  status_prefix: keys => keys.statusPrefix,
  command_prefix: keys => keys.commandPrefix,
  errors_kept: () => ERRORS_KEPT,
  error_bytes: () => ERROR_BYTES,
  failure_ttl: () => FAILURE_TTL,
  unique_ttl: () => UNIQUE_TTL,
  release_most: () => RELEASE_BATCH,
};

/** Lua that makes each a local of its name; all of them are strings there, as arguments are. */
export function constantLines(names: readonly Constant[], keys: Keys): string[] {
  // a prefix is of letters, digits and _ . -: nothing in it is to be escaped
  return names.map(name => `local ${name} = '${CONSTANTS[name](keys)}'`);
}
