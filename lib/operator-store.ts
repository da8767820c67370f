/** What looking after a Redis asks of it: walks over all keys, in bounded steps, and what Redis says of itself. */
import type { Redis } from 'ioredis';
import type { Link } from './connection.ts';
import { RedisRefusedError } from './errors.ts';
import type { Keys, QueueKeys } from './keys.ts';
import { checkRights } from './lua/check-rights.ts';
import { cleanEnded } from './lua/clean-ended.ts';
import { cleanOrphans, LOOKED_AT } from './lua/clean-orphans.ts';
import { dropIds } from './lua/drop-ids.ts';
import { fetch } from './lua/fetch.ts';
import { toFields, type Fields } from './record.ts';
import { Sender, type CallKind } from './sender.ts';

/** Keys, or members, that one step looks at. */
export const STEP = 500;
/** Jobs that are read whole at a time: one may hold many megabytes. */
const FEW = 50;

type Pipeline = ReturnType<Redis['pipeline']>;

export class OperatorStore {
  readonly keys: Keys;
  readonly #link: Link;
  readonly #sender: Sender;

  constructor(link: Link, keys: Keys) {
    this.#link = link;
    this.#sender = new Sender(link);
    this.keys = keys;
  }

  get address(): string {
    return this.#link.address;
  }

  #send<T>(what: string, call: (redis: Redis) => Promise<T>, kind: CallKind = 'read'): Promise<T> {
    return this.#sender.send(what, kind, call);
  }

  /** Reads that go together; a key of another type, or one that is gone, gives `undefined` in its place. */
  async #each(what: string, add: (pipeline: Pipeline) => void): Promise<unknown[]> {
    return this.#send(what, async redis => {
      const pipeline = redis.pipeline();
      add(pipeline);
      const replies = (await pipeline.exec()) ?? [];
      return replies.map(([error, value]) => {
        // a missing right, or a Redis that is gone, is not the key's fault
        if (error !== null && !(error.name === 'ReplyError' && !error.message.startsWith('NOPERM')))
          throw error;
        return error === null ? value : undefined;
      });
    });
  }

  /** All keys of a pattern, some at a time; one may come twice. */
  async *scan(pattern: string, type?: string): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const [next, found] = await this.#send('look through the keys', redis =>
        type === undefined
          ? redis.scan(cursor, 'MATCH', pattern, 'COUNT', STEP)
          : redis.scan(cursor, 'MATCH', pattern, 'COUNT', STEP, 'TYPE', type),
      );
      cursor = next;
      yield found;
    } while (cursor !== '0');
  }

  /** Names of the queues that have crons, in order, whether a job was ever put on them or not. */
  async cronQueues(): Promise<string[]> {
    const first = this.keys.queue('').crons;
    const names = new Set<string>();
    for await (const found of this.scan(`${first}*`, 'hash')) {
      for (const key of found) names.add(key.slice(first.length));
    }
    return [...names].toSorted();
  }

  /** All members of a sorted set, some at a time; one may come twice. */
  async *members(key: string): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const [next, flat] = await this.#send('read a registry', redis =>
        redis.zscan(key, cursor, 'COUNT', STEP),
      );
      cursor = next;
      yield flat.filter((_, i) => i % 2 === 0);
    } while (cursor !== '0');
  }

  /** What is in a list, some at a time; what is taken off it meanwhile has others passed over. */
  async *listed(key: string): AsyncGenerator<string[]> {
    for (let first = 0; ; first += STEP) {
      const [ids] = await this.#each('read a list', it => it.lrange(key, first, first + STEP - 1));
      if (!Array.isArray(ids) || ids.length === 0) return;
      yield ids as string[];
    }
  }

  /** Members of sets; none of what is no set. */
  async sets(keys: readonly string[]): Promise<string[][]> {
    const found = await this.#each('read sets', it => keys.forEach(key => void it.smembers(key)));
    return found.map(members => (Array.isArray(members) ? (members as string[]) : []));
  }

  /** Values of some fields of hashes; `undefined` where a key is no hash. */
  async fields(
    keys: readonly string[],
    names: readonly string[],
  ): Promise<((string | null)[] | undefined)[]> {
    const found = await this.#each('read hashes', it => keys.forEach(key => void it.hmget(key, ...names)));
    return found as ((string | null)[] | undefined)[];
  }

  /** Hashes whole, a few at a time; `undefined` where a key is none. */
  async hashes(keys: readonly string[]): Promise<(Fields | undefined)[]> {
    const found: unknown[] = [];
    for (let first = 0; first < keys.length; first += FEW) {
      const call = { keys: {}, args: { job_prefix: '' }, rest: keys.slice(first, first + FEW) };
      found.push(...((await this.#send('read hashes', redis => fetch.runRaw(redis, call))) as unknown[]));
    }
    return found.map(flat => (Array.isArray(flat) && flat.length > 0 ? toFields(flat) : undefined));
  }

  async types(keys: readonly string[]): Promise<string[]> {
    return (await this.#each('read types', it => keys.forEach(key => void it.type(key)))).map(String);
  }

  /** Numbers of members, of keys of the types that are given. */
  async sizes(keys: readonly (readonly [key: string, type: 'list' | 'zset'])[]): Promise<number[]> {
    const found = await this.#each('count', it => {
      for (const [key, type] of keys) void (type === 'list' ? it.llen(key) : it.zcard(key));
    });
    return found.map(size => Number(size ?? 0));
  }

  /** Members by chance, each once in a sorted set. */
  async sample(key: string, type: 'list' | 'zset', size: number, most: number): Promise<string[]> {
    if (size <= most || type === 'list') {
      const ranks = Array.from({ length: Math.min(size, most) }, (_, i) =>
        size <= most ? i : Math.floor(Math.random() * size),
      );
      const found = await this.#each('read members', it => {
        for (const rank of ranks)
          void (type === 'list' ? it.lindex(key, rank) : it.zrange(key, String(rank), String(rank)));
      });
      return found.flat().filter(member => typeof member === 'string');
    }
    const [found] = await this.#each('read members', it => it.zrandmember(key, most));
    return Array.isArray(found) ? (found as string[]) : [];
  }

  /** Bytes of each key, to the last element or with a few that stand for all; 0 where it is gone. */
  async bytes(keys: readonly string[], exact: boolean): Promise<number[]> {
    const found = await this.#each('measure keys', it =>
      keys.forEach(key => void (exact ? it.memory('USAGE', key, 'SAMPLES', 0) : it.memory('USAGE', key))),
    );
    return found.map(size => Number(size ?? 0));
  }

  /** Milliseconds since 1970, by Redis' clock. */
  async now(): Promise<number> {
    const [seconds = 0, micros = 0] = (await this.#send('read the time', redis => redis.time())).map(Number);
    return seconds * 1000 + micros / 1000;
  }

  async info(): Promise<ReadonlyMap<string, string>> {
    const text = await this.#send('read its state', redis => redis.info());
    return new Map(
      text.split('\r\n').flatMap(line => {
        const at = line.indexOf(':');
        return at > 0 && !line.startsWith('#') ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
      }),
    );
  }

  /** Settings by name; `undefined` where the user may not read them, or a provider has taken CONFIG away. */
  async settings(...names: readonly string[]): Promise<ReadonlyMap<string, string> | undefined> {
    try {
      // several names at once are known since Redis 7
      const flat = (await this.#send('read settings', redis =>
        redis.call('CONFIG', 'GET', ...names),
      )) as string[];
      return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? ''] as const] : [])));
    } catch (error) {
      if (error instanceof RedisRefusedError) return undefined;
      throw error;
    }
  }

  /** The commands that the user of this connection may not send, among these. */
  async refused(commands: readonly string[]): Promise<string[]> {
    const call = { keys: {}, args: { some_key: `${this.keys.prefix}doctor` }, rest: [...commands] };
    return (await this.#send('look at rights', redis => checkRights.run(redis, call))) as string[];
  }

  /** Deletes those of the jobs that have one of the statuses and ended before a time; answers the status of each. */
  async cleanEnded(
    queue: QueueKeys,
    ids: readonly string[],
    statuses: readonly string[],
    before: string,
    dry: boolean,
  ): Promise<string[]> {
    const { releasing } = this.keys;
    const args = {
      queue_name: queue.name,
      statuses: statuses.join(','),
      before,
      dry: dry ? '1' : '0',
    };
    const call = { of: this.keys, keys: { releasing }, queues: [queue], args, rest: [...ids] };
    const kind = dry ? 'read' : 'repeatable';
    return (await this.#send('delete ended jobs', redis => cleanEnded.run(redis, call), kind)) as string[];
  }

  /** The fields of `LOOKED_AT` of jobs, and where each belongs; `undefined` where a key is no hash. */
  async look(ids: readonly string[]): Promise<({ origin: string; seen: string[] } | undefined)[]> {
    const keys = ids.map(id => this.keys.job(id));
    const found = await this.fields(keys, ['origin', ...LOOKED_AT]);
    return found.map(values => {
      if (values === undefined) return undefined;
      const [origin = '', ...seen] = values.map(value => value ?? '');
      return { origin, seen };
    });
  }

  /** Deletes those of the jobs that nothing leads to, and that are as they were seen; answers their ids. */
  async cleanOrphans(
    queues: readonly QueueKeys[],
    jobs: readonly (readonly [id: string, seen: readonly string[]])[],
    dry: boolean,
  ): Promise<string[]> {
    const { keys } = this;
    const args = {
      claims_infix: keys.claimsSuffix(''),
      dry: dry ? '1' : '0',
    };
    const rest = jobs.flatMap(([id, seen]) => [id, seen.join('|')]);
    const call = { of: keys, keys: { releasing: keys.releasing }, queues, args, rest };
    const kind = dry ? 'read' : 'repeatable';
    return (await this.#send('delete orphans', redis => cleanOrphans.run(redis, call), kind)) as string[];
  }

  /** Takes those of the members out of a list or a registry that have no job; answers which. */
  async dropIds(
    place: string,
    kind: 'list' | 'started' | 'registry',
    members: readonly string[],
    dry: boolean,
  ): Promise<string[]> {
    const args = { kind, dry: dry ? '1' : '0' };
    const call = { of: this.keys, keys: { place }, args, rest: [...members] };
    const sends = dry ? 'read' : 'repeatable';
    return (await this.#send('take out ids', redis => dropIds.run(redis, call), sends)) as string[];
  }
}
