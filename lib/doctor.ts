/** Looks at a Redis for what this library needs, and for what people get wrong: its settings, its user, its clock. */
import { RedisRefusedError } from './errors.ts';
import { finding, type Finding } from './finding.ts';
import { lookAtKeys } from './doctor-keys.ts';
import { checkCount, checkKnown, checkOptions } from './options.ts';
import type { OperatorStore } from './operator-store.ts';
import { RIGHTS, type Role } from './rights.ts';

/** What is to survive, in the README's table: nothing acknowledged lost, all but the last second, all but since a snapshot. */
export const PROMISES = ['none', 'snapshot', 'everysec', 'always'] as const;
export type Promised = (typeof PROMISES)[number];

/** Most keys that are looked at. */
const KEYS = 100_000;
/** Milliseconds of a round trip, and seconds between two clocks, that are worth a warning; and seconds that are an error. */
const SLOW_MS = 50;
const CLOCK_WARNING = 2;
const CLOCK_ERROR = 30;
const ROUND_TRIPS = 9;

export interface DoctorOptions {
  /** What is to survive when Redis is killed; without it, less than `everysec` is a warning. */
  readonly promise?: Promised;
  /** Whose rights this user is to have; without it, one of them is enough. */
  readonly role?: Role;
  /** Most keys that are looked at; 100,000 by default. */
  readonly maxKeys?: number;
  readonly signal?: AbortSignal;
  /** Is called with the number of keys that a step has looked at. */
  readonly onProgress?: (looked: number) => void;
}

type Info = ReadonlyMap<string, string>;

/** See `Rq.doctor`. */
export async function examine(store: OperatorStore, options?: DoctorOptions): Promise<Finding[]> {
  const names = ['promise', 'role', 'maxKeys', 'signal', 'onProgress'];
  const {
    promise,
    role,
    maxKeys = KEYS,
    signal,
    onProgress = () => {},
  } = checkOptions(options, names, 'doctor');
  if (promise !== undefined) checkKnown(promise, PROMISES, 'promise');
  if (role !== undefined) checkKnown(role, Object.keys(RIGHTS), 'role');
  checkCount(maxKeys, 'maxKeys', 1);

  const info = await unlessRefused(store.info());
  const settings = await store.settings('appendfsync', 'save', 'maxmemory-policy');
  return [
    ...(info === undefined ? [uninformed()] : state(info, settings, promise)),
    ...(await rights(store, role)),
    ...(await allowed('clock', () => clocks(store))),
    ...(await allowed('keys', () => lookAtKeys(store, { maxKeys, signal, onProgress }))),
  ];
}

async function unlessRefused<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof RedisRefusedError) return undefined;
    throw error;
  }
}

function uninformed(): Finding {
  const what = 'INFO is refused: version, memory and persistence are not known';
  return finding('error', 'settings', what, 'ACL SETUSER … +info');
}

function state(info: Info, settings: Info | undefined, promise: Promised | undefined): Finding[] {
  return [
    version(info),
    ...cluster(info),
    ...replica(info),
    ...memory(info),
    ...persistence(info, settings, promise),
    ...connections(info),
  ];
}

/** What this user may not look at is a finding like others. */
async function allowed(about: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof RedisRefusedError)) throw error;
    return [
      finding(
        'warning',
        about,
        `not looked at: ${error.message}`,
        'run it as the user rq-operator of the README',
      ),
    ];
  }
}

function version(info: Info): Finding {
  const valkey = info.get('valkey_version');
  const [name, text] =
    valkey === undefined ? ['Redis', info.get('redis_version') ?? '?'] : ['Valkey', valkey];
  const [major = 0, minor = 0] = text.split('.').map(Number);
  const enough = valkey === undefined ? major >= 7 : major > 7 || (major === 7 && minor >= 2);
  if (enough) return finding('ok', 'version', `${name} ${text}`);
  return finding(
    'error',
    'version',
    `${name} ${text} is too old`,
    'use Redis 7.0 or later, or Valkey 7.2 or later',
  );
}

function cluster(info: Info): Finding[] {
  if (info.get('cluster_enabled') !== '1') return [finding('ok', 'cluster', 'not a cluster')];
  const what = "this is a Redis Cluster, and RQ's keys don't share a hash slot";
  return [finding('error', 'cluster', what, 'use one Redis, or Sentinel')];
}

function replica(info: Info): Finding[] {
  if (info.get('role') !== 'slave') return [];
  const master = `${info.get('master_host') ?? '?'}:${info.get('master_port') ?? '?'}`;
  return [
    finding(
      'error',
      'replica',
      'this is a replica, which takes no writes',
      `connect to its master, ${master}`,
    ),
  ];
}

function memory(info: Info): Finding[] {
  const policy = info.get('maxmemory_policy') ?? '?';
  const [used, most] = [Number(info.get('used_memory')), Number(info.get('maxmemory'))];
  const found: Finding[] = [];
  if (policy !== 'noeviction') {
    const what = `maxmemory-policy is ${policy}: when its memory is full, Redis drops jobs`;
    found.push(finding('error', 'memory', what, 'CONFIG SET maxmemory-policy noeviction, and in redis.conf'));
  }
  if (most > 0 && used > most * 0.9) {
    const what = `${Math.floor((used / most) * 100)}% of maxmemory (${mib(most)}) is used: once it is full, no job can be enqueued`;
    found.push(
      finding('warning', 'memory', what, "raise maxmemory, or see 'rq info --memory' and 'rq clean'"),
    );
  }
  if (found.length > 0) return found;
  return [finding('ok', 'memory', `noeviction, ${mib(used)} of ${most > 0 ? mib(most) : 'no limit'} used`)];
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function persistence(info: Info, settings: Info | undefined, promised: Promised | undefined): Finding[] {
  const found: Finding[] = [];
  const appends = info.get('aof_enabled') === '1';
  const fsync = settings?.get('appendfsync');
  const saves = settings?.get('save');
  const has: Promised = appends
    ? fsync === 'always'
      ? 'always'
      : fsync === 'no'
        ? 'snapshot'
        : 'everysec'
    : saves === ''
      ? 'none'
      : 'snapshot';
  const what = {
    none: 'without an append-only file and without snapshots, a restart of Redis loses all jobs',
    snapshot: appends
      ? 'appendfsync is no: a loss of power loses the jobs of half a minute'
      : 'without an append-only file, a restart of Redis loses the jobs since its last snapshot',
    everysec: 'append-only file, written each second: a loss of power loses the last second',
    always: 'append-only file, written at once',
  }[has];
  const wanted = promised ?? 'everysec';
  if (PROMISES.indexOf(has) < PROMISES.indexOf(wanted)) {
    const fix = `appendonly yes${wanted === 'always' ? ', appendfsync always' : ''}`;
    const snapshots = wanted === 'snapshot' ? 'save 60 1, or appendonly yes' : fix;
    const severity = promised === undefined ? 'warning' : 'error';
    found.push(finding(severity, 'persistence', what, `${snapshots}, by CONFIG SET and in redis.conf`));
  } else found.push(finding('ok', 'persistence', what));
  if (settings === undefined) {
    const unknown =
      'CONFIG GET is refused: how often the append-only file is written, and snapshots, is not known';
    found.push(
      finding(
        promised === 'always' ? 'warning' : 'note',
        'persistence',
        unknown,
        'run it as an operator, or see the provider’s page',
      ),
    );
  }
  const disk = 'look at its disk and its log';
  if (info.get('aof_last_write_status') === 'err')
    found.push(finding('error', 'persistence', 'the last write to the append-only file failed', disk));
  if (info.get('rdb_last_bgsave_status') === 'err')
    found.push(finding('error', 'persistence', 'the last snapshot failed: Redis may refuse writes', disk));
  return found;
}

function connections(info: Info): Finding[] {
  const [now, most] = [Number(info.get('connected_clients')), Number(info.get('maxclients'))];
  if (!(now > most * 0.9)) return [];
  const what = `${now} of ${most} connections are taken`;
  return [finding('warning', 'connections', what, 'raise maxclients, or listen on fewer queues a worker')];
}

async function rights(store: OperatorStore, role: Role | undefined): Promise<Finding[]> {
  const roles = role === undefined ? (['producer', 'worker'] as const) : [role];
  const lacking = new Map<Role, readonly string[]>();
  for (const each of roles) {
    const refused = await store.refused(RIGHTS[each]).catch((error: unknown) => {
      // who may run no script may do nothing here
      if (error instanceof RedisRefusedError) return RIGHTS[each];
      throw error;
    });
    lacking.set(each, refused);
  }
  const able = roles.filter(each => lacking.get(each)?.length === 0);
  const found =
    able.length === 0
      ? []
      : [finding('ok', 'rights', `this user may be ${able.map(withArticle).join(' and ')}`)];
  for (const [each, commands] of lacking) {
    if (commands.length === 0) continue;
    const rules = commands.map(command => `+${command}`).join(' ');
    found.push(
      finding(
        able.length === 0 ? 'error' : 'note',
        'rights',
        `this user can't be ${withArticle(each)}: ${commands.length} of ${RIGHTS[each].length} commands are refused`,
        `ACL SETUSER … ~${store.keys.prefix}* &${store.keys.prefix}* ${rules}`,
      ),
    );
  }
  return found;
}

function withArticle(role: Role): string {
  return role === 'operator' ? 'an operator' : `a ${role}`;
}

async function clocks(store: OperatorStore): Promise<Finding[]> {
  const trips: { readonly ms: number; readonly ahead: number }[] = [];
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const [wall, began] = [Date.now(), performance.now()];
    const there = await store.now();
    const ms = performance.now() - began;
    trips.push({ ms, ahead: (there - (wall + ms / 2)) / 1000 });
  }
  // the shortest tells the clocks best, the middle one the latency
  const [best, ...others] = trips.toSorted((a, b) => a.ms - b.ms);
  const middle = [best, ...others][Math.floor(ROUND_TRIPS / 2)]?.ms ?? 0;
  const ahead = best?.ahead ?? 0;
  const way = `Redis' clock is ${Math.abs(ahead).toFixed(1)} s ${ahead > 0 ? 'ahead of' : 'behind'} this machine's`;
  const synchronise = 'synchronise both with NTP: Python workers and schedulers go by their own clock';
  const clock =
    Math.abs(ahead) < CLOCK_WARNING
      ? finding('ok', 'clock', `${Math.round(Math.abs(ahead) * 1000)} ms from this machine's`)
      : finding(Math.abs(ahead) < CLOCK_ERROR ? 'warning' : 'error', 'clock', way, synchronise);
  const trip = `a round trip takes ${middle.toFixed(1)} ms`;
  const latency =
    middle < SLOW_MS
      ? finding('ok', 'latency', trip)
      : finding(
          'warning',
          'latency',
          trip,
          'run workers nearer to Redis, and see SLOWLOG GET for what holds it up',
        );
  return [clock, latency];
}
