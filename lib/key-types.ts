/** Every key that may be under the prefix, RQ's and ours, and the type that each has: as docs/wire-format.md lists them. */

/** Names as there; what is in angle brackets stands for anything. The first that fits counts. */
export const KEY_TYPES: readonly (readonly [name: string, type: string])[] = [
  ['queues', 'set'],
  ['queue:<queue>:intermediate:first_seen:<id>', 'string'],
  ['queue:<queue>:intermediate', 'list'],
  ['queue:<queue>', 'list'],
  ['job::<id>:dependencies', 'set'],
  ['job:<id>:dependents', 'set'],
  ['job:<id>', 'hash'],
  ['wip:<queue>', 'zset'],
  ['finished:<queue>', 'zset'],
  ['failed:<queue>', 'zset'],
  ['canceled:<queue>', 'zset'],
  ['deferred:<queue>', 'zset'],
  ['scheduled:<queue>', 'zset'],
  ['results:<id>', 'stream'],
  ['workers', 'set'],
  ['workers:<queue>', 'set'],
  ['worker:<worker>:claims:<queue>', 'list'],
  ['worker:<worker>:executions', 'set'],
  ['worker:<worker>', 'hash'],
  ['claimants:<queue>', 'set'],
  ['janitor:<queue>', 'string'],
  ['limits:<queue>', 'hash'],
  ['starts:<queue>', 'zset'],
  ['taken:<queue>', 'string'],
  ['samples:<queue>', 'list'],
  ['slots:<key>', 'set'],
  ['parked', 'zset'],
  ['parked:<key>', 'zset'],
  ['aside:<queue>', 'zset'],
  ['crons:<queue>', 'hash'],
  ['cron-ticks:<queue>', 'zset'],
  ['cron-last:<queue>', 'hash'],
  ['unique:<queue and call>', 'string'],
  ['suspended', 'string'],
  ['scheduler-lock:<queue>', 'string'],
  ['group:<name>', 'set'],
  ['groups', 'set'],
  ['releasing', 'hash'],
  ['releasing:<id>', 'set'],
  ['executions:<id>', 'zset'],
  ['execution:<id>:<execution id>', 'hash'],
  ['clean_registries:<queue>', 'string'],
  ['scheduler:<name>', 'hash'],
  ['cron_schedulers', 'zset'],
  ['cron_scheduler:<name>', 'hash'],
  ['cron_jobs', 'zset'],
  ['cron_job:<name>:jobs', 'zset'],
  ['ready:<queue>', 'zset'],
];

const PATTERNS = KEY_TYPES.map(([name, type]) => {
  const parts = name.split(/<[^>]+>/).map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return { name, type, pattern: new RegExp(`^${parts.join('[^]+')}$`) };
});

/** What a key should be, by its name without the prefix; `undefined` where nobody knows it. */
export function expectedType(name: string): { readonly name: string; readonly type: string } | undefined {
  return PATTERNS.find(({ pattern }) => pattern.test(name));
}
