/** Keys that hold another type for a while: what they held is put aside, and put back. */
import type { Redis } from 'ioredis';

export const TYPES = ['string', 'list', 'set', 'zset', 'hash', 'stream'] as const;
export type Type = (typeof TYPES)[number];

/** Lua that makes a key of each type. */
export const MAKE: Readonly<Record<Type, string>> = {
  string: `redis.call('SET', KEYS[1], 'x')`,
  list: `redis.call('RPUSH', KEYS[1], 'x')`,
  set: `redis.call('SADD', KEYS[1], 'x')`,
  zset: `redis.call('ZADD', KEYS[1], 1, 'x')`,
  hash: `redis.call('HSET', KEYS[1], 'x', 'x')`,
  stream: `redis.call('XADD', KEYS[1], '*', 'x', 'x')`,
};

/** In one step, so that nothing is written between a look and a change. */
export async function replace(redis: Redis, key: string, type: Type): Promise<void> {
  const aside = `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end`;
  await redis.eval(`${aside}\n${MAKE[type]}`, 2, key, `saved:${key}`);
}

export async function putBack(redis: Redis, key: string): Promise<void> {
  const back = `if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end`;
  await redis.eval(`redis.call('DEL', KEYS[1])\n${back}`, 2, key, `saved:${key}`);
}
