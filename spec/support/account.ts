/** Accounts for every job of a ledger: where Redis has it at rest, and what is there that nobody knows of. */
import type { Redis } from 'ioredis';
import type { Entry, Fault, Ledger } from './ledger.ts';

/** Places that a job at rest may be in, and the statuses that belong there. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  queue: ['queued'],
  wip: ['started'],
  finished: ['finished'],
  failed: ['failed', 'stopped'],
  canceled: ['canceled'],
  deferred: ['deferred'],
  scheduled: ['scheduled'],
};

export interface Account {
  readonly jobs: number;
  readonly acknowledged: number;
  readonly unknown: number;
  /** Where the acknowledged ones are: `finished`, `failed`, `stopped`, `canceled`, or gone as they should be. */
  readonly ends: Readonly<Record<string, number>>;
  /** Acknowledged, and nowhere. */
  readonly lost: readonly string[];
  /** In more than one place, twice in one, or in one that does not fit their status. */
  readonly misplaced: readonly string[];
  /** Hashes and ids that nobody was told of, or that have neither owner nor lifetime; keys that should be gone. */
  readonly strays: readonly string[];
  /** Runs beyond the first of each job. */
  readonly extraRuns: number;
  /** The longest time from what struck a run to the start of the next one, in seconds; 0 where none ran again. */
  readonly recovery: number;
}

/**
 * What is not at rest yet: all that must be empty, and its length. Asked in one transaction, as a job that goes from place to
 * place meanwhile would be seen in none.
 */
export async function unrest(redis: Redis, queues: readonly string[]): Promise<Record<string, number>> {
  const asked = redis.multi();
  const keys = queues.flatMap(queue => [`rq:queue:${queue}`, `rq:wip:${queue}`, `rq:scheduled:${queue}`]);
  for (const key of keys) {
    if (key.startsWith('rq:queue:')) asked.llen(key);
    else asked.zcard(key);
  }
  asked.keys('rq:parked:*');
  asked.keys('rq:worker:*:claims:*');
  const replies = (await asked.exec()) ?? [];
  const sizes = keys.map((key, i): [string, number] => [key, Number(replies[i]?.[1] ?? NaN)]);
  const held = replies.slice(-2).flatMap(reply => (reply[1] ?? []) as string[]);
  return Object.fromEntries([...sizes.filter(([, size]) => size !== 0), ...held.map(key => [key, 1])]);
}

export async function account(redis: Redis, queues: readonly string[], ledger: Ledger): Promise<Account> {
  const { entries, faults } = ledger.read();
  const places = new Map<string, string[]>();
  const note = (id: string, place: string): void => {
    places.set(id, [...(places.get(id) ?? []), place]);
  };
  for (const queue of queues) {
    for (const id of await redis.lrange(`rq:queue:${queue}`, 0, -1)) note(id, 'queue');
    for (const place of Object.keys(PLACES)) {
      if (place === 'queue') continue;
      for (const member of await redis.zrange(`rq:${place}:${queue}`, '0', '-1'))
        note(place === 'wip' ? member.slice(0, member.lastIndexOf(':')) : member, place);
    }
  }
  const [lost, misplaced, strays]: [string[], string[], string[]] = [[], [], []];
  const ends: Record<string, number> = {};
  const hashes = await readHashes(redis);
  for (const [id, entry] of entries) {
    const at = places.get(id) ?? [];
    const hash = hashes.get(id);
    if (hash === undefined) {
      // an id in the registry of canceled jobs is dropped there some time after its hash
      if (at.some(place => place !== 'canceled')) misplaced.push(`${id}: no hash, and in ${at.join(', ')}`);
      const over = mayBeGone(entry);
      if (entry.told === 'acknowledged' && !over) lost.push(id);
      if (over) ends['gone'] = (ends['gone'] ?? 0) + 1;
      continue;
    }
    if (entry.told === 'unsent') strays.push(`${id}: was never sent, and is ${hash.status}`);
    else if (entry.told === 'acknowledged') ends[hash.status] = (ends[hash.status] ?? 0) + 1;
    const fits = at.length === 1 && PLACES[at[0] ?? '']?.includes(hash.status);
    if (at.length === 0 && entry.told === 'acknowledged') lost.push(`${id}: ${hash.status}, and in no place`);
    else if (!fits) misplaced.push(`${id}: ${hash.status}, and in ${at.join(', ')}`);
  }
  for (const id of [...hashes.keys(), ...places.keys()])
    if (!entries.has(id)) strays.push(`${id}: nobody was told of it`);
  for (const [id, { ttl }] of hashes)
    if (ttl < 0 && !places.has(id)) strays.push(`${id}: a hash without a place and without a lifetime`);
  strays.push(...(await strayKeys(redis, hashes)));
  return {
    jobs: entries.size,
    acknowledged: [...entries.values()].filter(({ told }) => told === 'acknowledged').length,
    unknown: [...entries.values()].filter(({ told }) => told === 'unknown').length,
    ends,
    lost,
    misplaced,
    strays: [...new Set(strays)],
    extraRuns: [...entries.values()].reduce((sum, { starts }) => sum + Math.max(0, starts.length - 1), 0),
    recovery: longestRecovery([...entries.values()], faults),
  };
}

/** A job without a result to keep is gone once a run of it has ended; one with a `ttl` once it waited too long. */
function mayBeGone({ leaves, ends, starts }: Entry): boolean {
  if (leaves === 'dropped') return ends.length > 0;
  if (leaves === 'expiring') return starts.length === 0 || ends.length > 0;
  return leaves === 'deleted';
}

interface Held {
  readonly status: string;
  readonly ttl: number;
}

async function readHashes(redis: Redis): Promise<Map<string, Held>> {
  const hashes = new Map<string, Held>();
  for await (const keys of redis.scanStream({ match: 'rq:job:*', count: 1000 }) as AsyncIterable<string[]>) {
    const mine = keys.filter(key => /^rq:job:[^:]+$/.test(key));
    const pipeline = redis.pipeline();
    for (const key of mine) {
      pipeline.hget(key, 'status');
      pipeline.ttl(key);
    }
    const replies = (await pipeline.exec()) ?? [];
    mine.forEach((key, i) => {
      const status = replies[i * 2]?.[1] as string | null;
      hashes.set(key.slice('rq:job:'.length), {
        status: status ?? 'without a status',
        ttl: Number(replies[i * 2 + 1]?.[1]),
      });
    });
  }
  return hashes;
}

/** What lives for ever although its job or its worker is gone. */
async function strayKeys(redis: Redis, hashes: ReadonlyMap<string, Held>): Promise<string[]> {
  const strays: string[] = [];
  for (const key of await redis.keys('rq:*')) {
    const [, job] = /^rq:(?:results:|executions:|execution:|job::?)([^:]+)/.exec(key) ?? [];
    const ends =
      /^rq:(?:worker|janitor|scheduler|starts|slots|parked|aside)/.test(key) && !key.startsWith('rq:workers');
    const kept = job === undefined ? !ends : hashes.has(job);
    if (!kept && (await redis.ttl(key)) === -1) strays.push(`${key}: without a lifetime`);
  }
  return strays;
}

function longestRecovery(entries: readonly Entry[], faults: readonly Fault[]): number {
  let longest = 0;
  for (const { starts } of entries) {
    const ordered = starts.toSorted((a, b) => a.at - b.at);
    for (let i = 1; i < ordered.length; i++) {
      const [run, next] = [ordered[i - 1], ordered[i]];
      if (run === undefined || next === undefined) continue;
      // what struck the run: its own process' end, else the last thing that happened before the next one
      const own = faults.find(({ at, pid }) => pid === run.pid && at >= run.at);
      const before = faults.findLast(({ at, pid }) => pid === 0 && at >= run.at && at <= next.at);
      const struck = own ?? before;
      if (struck !== undefined) longest = Math.max(longest, (next.at - struck.at) / 1000);
    }
  }
  return longest;
}
