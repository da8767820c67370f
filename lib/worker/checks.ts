/** What a worker asks of its Redis before it begins. */
import type { Redis } from 'ioredis';
import { RedisSettingError } from '../errors.ts';

export interface Needs {
  /** Connections that the worker opens. */
  readonly connections: number;
  /** Works although Redis may evict keys, jobs among them. */
  readonly allowEviction: boolean;
}

/** @throws {RedisSettingError} that names the setting to change. */
export async function checkRedis(redis: Redis, { connections, allowEviction }: Needs): Promise<void> {
  const info = parseInfo(await redis.info());
  const version = info.get('redis_version') ?? 'unknown';
  if (Number.parseInt(version, 10) < 7) {
    throw new RedisSettingError(
      `Redis is version ${version}: 7.0 or later is needed (or Valkey 7.2 or later)`,
    );
  }
  if (info.get('cluster_enabled') === '1') {
    throw new RedisSettingError(
      "This is a Redis Cluster: RQ's keys do not share a hash slot. Use one Redis, or Sentinel",
    );
  }
  const policy = info.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction' && !allowEviction) {
    throw new RedisSettingError(
      `maxmemory-policy is ${policy}: when its memory is full Redis would drop jobs. ` +
        'Set it to noeviction (CONFIG SET maxmemory-policy noeviction), or allow it (--allow-eviction)',
    );
  }
  const most = Number(info.get('maxclients'));
  const connected = Number(info.get('connected_clients'));
  if (most - connected < connections) {
    throw new RedisSettingError(
      `Redis takes ${most - connected} more connections and this worker needs ${connections}: ` +
        `raise maxclients (now ${most}), or listen on fewer queues`,
    );
  }
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const pairs = text
    .split('\r\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)] as const);
  return new Map(pairs);
}
