/** Housekeeping: ended jobs by status and age, jobs that nothing leads to, and ids without a job. */
import { parseDuration, type Duration } from './duration.ts';
import type { QueueKeys } from './keys.ts';
import { checkFlag, checkName, checkOptions, isJobId, quote } from './options.ts';
import { STEP, type OperatorStore } from './operator-store.ts';
import { STATUSES } from './record.ts';

/** Statuses of jobs that have ended. */
export const ENDED = ['finished', 'failed', 'stopped', 'canceled'] as const;
export type EndedStatus = (typeof ENDED)[number];

/** How long nobody may have changed a job before it can be an orphan: a worker may have it in its hands. Seconds. */
const GRACE = 600;
/** Seconds between the two looks that make an orphan, at most the grace: a Python worker takes ids off a list without a trace. */
const SECOND_LOOK = 10;
/** Members of a list that one script may come by when it looks for ids in it. */
const LIST_STEPS = 1_000_000;

export interface CleanOptions {
  /** Deletes jobs that ended longer ago; of all `status`es where it names none. */
  readonly olderThan?: Duration;
  /** Deletes jobs that ended so; of any age without `olderThan`. */
  readonly status?: readonly EndedStatus[];
  /** Names of the queues to clean; all by default. */
  readonly queues?: readonly string[];
  /** Whether orphans are deleted, and ids without a job taken out; `true` by default. */
  readonly orphans?: boolean;
  /** How long nobody may have changed an orphan; 10 minutes by default. */
  readonly grace?: Duration;
  /** Looks only. */
  readonly dryRun?: boolean;
  /** Is asked, once all is looked at, whether that is to be deleted. */
  readonly confirm?: (found: CleanReport) => boolean | Promise<boolean>;
  /** Ends the work between two steps. */
  readonly signal?: AbortSignal;
  /** Is called with the number of keys that a step has looked at. */
  readonly onProgress?: (looked: number) => void;
}

/** A job that no list, registry, claim or other job leads to. */
export interface Orphan {
  readonly id: string;
  /** '' where its hash does not say. */
  readonly queue: string;
  readonly status: string;
  /** When somebody last changed it; '' where its hash does not say. */
  readonly at: string;
}

/** Members of a list or a registry that have no job. */
export interface StrayIds {
  readonly queue: string;
  readonly place: 'queued' | 'started' | 'finished' | 'failed' | 'deferred' | 'scheduled' | 'canceled';
  readonly ids: readonly string[];
}

/** What was deleted, or would be. */
export interface CleanReport {
  readonly ended: readonly { readonly queue: string; readonly status: string; readonly count: number }[];
  readonly orphans: readonly Orphan[];
  readonly strayIds: readonly StrayIds[];
  /** Whether it was deleted: not with `dryRun`, nor where `confirm` said no. */
  readonly deleted: boolean;
  /** Whether a signal ended it before all was done. */
  readonly interrupted: boolean;
}

interface Plan {
  readonly queues: readonly QueueKeys[];
  readonly chosen: ReadonlySet<string> | undefined;
  readonly statuses: readonly EndedStatus[];
  readonly before: string;
  readonly grace: number;
  readonly orphans: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (looked: number) => void;
}

/** An orphan with all that was seen of it. */
interface Seen extends Orphan {
  readonly seen: readonly string[];
}

const PLACES = [
  ['queued', 'list'],
  ['started', 'started'],
  ['finished', 'finished'],
  ['failed', 'failed'],
  ['deferred', 'deferred'],
  ['scheduled', 'scheduled'],
  ['canceled', 'canceled'],
] as const;

/** See `Rq.clean`. */
export async function clean(
  store: OperatorStore,
  known: readonly string[],
  options?: CleanOptions,
): Promise<CleanReport> {
  const plan = await planOf(store, known, options);
  const { dryRun = false, confirm } = options ?? {};
  checkFlag(dryRun, 'dryRun');
  // where nobody is asked, what has ended need not be counted first
  const looks = dryRun || confirm !== undefined;
  const ended = looks ? await cleanEnded(store, plan, true) : [];
  const orphans = plan.orphans ? await findOrphans(store, plan) : [];
  const strayIds = plan.orphans ? await findStrayIds(store, plan) : [];
  const lookedAt = performance.now();
  const stopped = (): boolean => plan.signal?.aborted === true;
  const shown = orphans.map(({ id, queue, status, at }) => ({ id, queue, status, at }));
  const found = { ended, orphans: shown, strayIds, deleted: false, interrupted: stopped() };
  const nothing = ended.length + orphans.length + strayIds.length === 0;
  if (dryRun || stopped() || (looks && nothing) || (confirm !== undefined && !(await confirm(found))))
    return found;

  const gone = await cleanEnded(store, plan, false);
  if (orphans.length + strayIds.length > 0) {
    const wait = Math.min(plan.grace, SECOND_LOOK) * 1000 - (performance.now() - lookedAt);
    await pause(wait, plan.signal);
  }
  const deleted = new Set(await removeOrphans(store, plan, orphans, false));
  const taken = await removeStrayIds(store, plan, strayIds);
  return {
    ended: gone,
    orphans: shown.filter(({ id }) => deleted.has(id)),
    strayIds: taken,
    deleted: true,
    interrupted: stopped(),
  };
}

async function planOf(
  store: OperatorStore,
  known: readonly string[],
  options: CleanOptions | undefined,
): Promise<Plan> {
  const names = [
    'olderThan',
    'status',
    'queues',
    'orphans',
    'grace',
    'dryRun',
    'confirm',
    'signal',
    'onProgress',
  ];
  const {
    olderThan,
    status,
    queues,
    orphans = true,
    grace,
    signal,
    onProgress,
  } = checkOptions(options, names, 'clean');
  for (const each of status ?? []) {
    if (!ENDED.includes(each))
      throw new TypeError(`status must be of ${ENDED.join(', ')}, and not ${quote(each)}`);
  }
  const chosen = queues?.map(name => checkName(name, 'queue name'));
  const age = olderThan === undefined ? undefined : parseDuration(olderThan, 'olderThan');
  return {
    queues: (chosen ?? known).map(name => store.keys.queue(name)),
    chosen: chosen === undefined ? undefined : new Set(chosen),
    statuses: status ?? (age === undefined ? [] : ENDED),
    before: age === undefined ? '' : new Date((await store.now()) - age * 1000).toISOString(),
    grace: grace === undefined ? GRACE : parseDuration(grace, 'grace'),
    orphans: checkFlag(orphans, 'orphans'),
    signal,
    onProgress: onProgress ?? (() => {}),
  };
}

async function cleanEnded(store: OperatorStore, plan: Plan, dry: boolean): Promise<CleanReport['ended']> {
  const { queues, statuses, before, signal, onProgress } = plan;
  const counts: CleanReport['ended'][number][] = [];
  if (statuses.length === 0) return counts;
  for (const queue of queues) {
    const found = new Map<string, number>();
    // stopped jobs are among the failed ones
    for (const registry of ['finished', 'failed', 'canceled'] as const) {
      if (!statuses.some(status => (status === 'stopped' ? 'failed' : status) === registry)) continue;
      for await (const ids of store.members(queue[registry])) {
        if (signal?.aborted === true) break;
        for (const status of await store.cleanEnded(queue, ids, statuses, before, dry))
          found.set(status, (found.get(status) ?? 0) + 1);
        onProgress(ids.length);
      }
    }
    for (const [status, count] of found) counts.push({ queue: queue.name, status, count });
  }
  return counts;
}

async function findOrphans(store: OperatorStore, plan: Plan): Promise<Seen[]> {
  const { keys } = store;
  const listed = await idsInLists(store, plan);
  const youngest = new Date((await store.now()) - plan.grace * 1000).toISOString();
  const found: Seen[] = [];
  for await (const page of store.scan(`${keys.jobPrefix}*`, 'hash')) {
    if (plan.signal?.aborted === true) return [];
    const ids = page
      .map(key => key.slice(keys.jobPrefix.length))
      .filter(id => isJobId(id) && !listed.has(id));
    const looks = await store.look(ids);
    const candidates = ids.flatMap((id, i) => {
      const look = looks[i];
      if (look === undefined || (plan.chosen !== undefined && !plan.chosen.has(look.origin))) return [];
      const [status = '', ...times] = look.seen;
      // of a status that we don't know, somebody else knows what leads to it
      if (status !== '' && !(STATUSES as readonly string[]).includes(status)) return [];
      const at = times.reduce((last, time) => (time > last ? time : last), '');
      return at > youngest ? [] : [{ id, queue: look.origin, status, at, seen: look.seen }];
    });
    const orphans = new Set(await removeOrphans(store, plan, candidates, true));
    found.push(...candidates.filter(({ id }) => orphans.has(id)));
    plan.onProgress(page.length);
  }
  // a key may come twice
  return [...new Map(found.map(orphan => [orphan.id, orphan])).values()];
}

/** Ids that are in a list somewhere. Looking for each of them in a list of many would take as many steps. */
async function idsInLists(store: OperatorStore, { queues, signal, onProgress }: Plan): Promise<Set<string>> {
  const { keys } = store;
  const claimants = await store.sets(queues.map(({ claimants: set }) => set));
  const lists = queues.flatMap(({ list, intermediate, name }, i) => [
    list,
    intermediate,
    ...(claimants[i] ?? []).map(worker => keys.claims(worker, name)),
  ]);
  const ids = new Set<string>();
  for (const list of lists) {
    for await (const page of store.listed(list)) {
      if (signal?.aborted === true) return ids;
      for (const id of page) ids.add(id);
      onProgress(page.length);
    }
  }
  return ids;
}

/** Answers the ids of those that are orphans, and deletes them unless `dry`. */
async function removeOrphans(
  store: OperatorStore,
  plan: Plan,
  orphans: readonly Seen[],
  dry: boolean,
): Promise<string[]> {
  const byQueue = new Map<string, Seen[]>();
  for (const orphan of orphans) {
    const some = byQueue.get(orphan.queue) ?? [];
    byQueue.set(orphan.queue, some);
    some.push(orphan);
  }
  const found: string[] = [];
  for (const [name, some] of byQueue) {
    // what says no queue may be in any
    const queues = name === '' ? plan.queues : [store.keys.queue(name)];
    for (const part of await inSteps(store, queues, some)) {
      if (plan.signal?.aborted === true) return found;
      const jobs = part.map(({ id, seen }) => [id, seen] as const);
      found.push(...(await store.cleanOrphans(queues, jobs, dry)));
      if (!dry) plan.onProgress(part.length);
    }
  }
  return found;
}

async function findStrayIds(store: OperatorStore, plan: Plan): Promise<StrayIds[]> {
  const found: StrayIds[] = [];
  for (const queue of plan.queues) {
    for (const [place, name] of PLACES) {
      const ids = new Set<string>();
      const key = queue[name];
      const pages = place === 'queued' ? store.listed(key) : store.members(key);
      for await (const page of pages) {
        if (plan.signal?.aborted === true) return found;
        for (const id of await store.dropIds(key, kindOf(place), page, true)) ids.add(id);
        plan.onProgress(page.length);
      }
      if (ids.size > 0) found.push({ queue: queue.name, place, ids: [...ids] });
    }
  }
  return found;
}

async function removeStrayIds(
  store: OperatorStore,
  plan: Plan,
  strayIds: readonly StrayIds[],
): Promise<StrayIds[]> {
  const taken: StrayIds[] = [];
  for (const { queue, place, ids } of strayIds) {
    const unit = store.keys.queue(queue);
    const key = unit[PLACES.find(([each]) => each === place)?.[1] ?? 'list'];
    const gone: string[] = [];
    for (const part of await inSteps(store, place === 'queued' ? [unit] : [], ids)) {
      if (plan.signal?.aborted === true) break;
      gone.push(...(await store.dropIds(key, kindOf(place), part, false)));
      plan.onProgress(part.length);
    }
    if (gone.length > 0) taken.push({ queue, place, ids: gone });
  }
  return taken;
}

function kindOf(place: StrayIds['place']): 'list' | 'started' | 'registry' {
  if (place === 'queued') return 'list';
  return place === 'started' ? 'started' : 'registry';
}

/** Parts of a bounded number, and fewer where each is looked for in a long list. */
async function inSteps<T>(
  store: OperatorStore,
  queues: readonly QueueKeys[],
  all: readonly T[],
): Promise<T[][]> {
  if (all.length === 0) return [];
  const sizes = await store.sizes(queues.map(({ list }) => [list, 'list'] as const));
  const longest = Math.max(1, ...sizes);
  const step = Math.max(1, Math.min(STEP, Math.floor(LIST_STEPS / longest)));
  return Array.from({ length: Math.ceil(all.length / step) }, (_, i) => all.slice(i * step, (i + 1) * step));
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms <= 0 || signal?.aborted === true) return;
  await new Promise<void>(resolve => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done);
  });
}
