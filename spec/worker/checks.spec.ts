import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { RedisSettingError } from '../../lib/errors.ts';
import { checkRedis, type Needs } from '../../lib/worker/checks.ts';
import { Worker } from '../../lib/worker/worker.ts';
import { useRedis } from '../support/in-process.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';

const needs: Needs = { connections: 4, allowEviction: false };

/** Only `info` is asked. */
const answering = (info: Readonly<Record<string, string>>): Redis =>
  ({
    info: () =>
      Promise.resolve(
        `# Server\r\n${Object.entries(info)
          .map(([name, value]) => `${name}:${value}\r\n`)
          .join('')}`,
      ),
  }) as unknown as Redis;

const sound = {
  redis_version: '7.0.15',
  cluster_enabled: '0',
  maxmemory_policy: 'noeviction',
  maxclients: '10000',
  connected_clients: '1',
};

describe('checkRedis', () => {
  it('has nothing to say about Redis 7', async () => {
    await expect(checkRedis(answering(sound), needs)).resolves.toBeUndefined();
  });

  it.each(['6.2.14', '5.0.7'])('refuses Redis %s', async version => {
    const check = checkRedis(answering({ ...sound, redis_version: version }), needs);
    await expect(check).rejects.toBeInstanceOf(RedisSettingError);
    await expect(check).rejects.toMatchObject({ code: 'RQ_REDIS_SETTING' });
    await expect(check).rejects.toThrow(`Redis is version ${version}: 7.0 or later is needed`);
  });

  it.each(['7.2.4', '8.0.1', '10.1.0'])('takes version %s', async version => {
    const redis = answering({ ...sound, redis_version: version });
    await expect(checkRedis(redis, needs)).resolves.toBeUndefined();
  });

  it('refuses a cluster', async () => {
    const check = checkRedis(answering({ ...sound, cluster_enabled: '1' }), needs);
    await expect(check).rejects.toThrow('This is a Redis Cluster');
  });

  it('counts the connections that are left', async () => {
    const full = { ...sound, maxclients: '10', connected_clients: '7' };
    await expect(checkRedis(answering(full), needs)).rejects.toThrow(
      'Redis takes 3 more connections and this worker needs 4: raise maxclients (now 10)',
    );
    const enough = { ...full, connected_clients: '6' };
    await expect(checkRedis(answering(enough), needs)).resolves.toBeUndefined();
  });

  it('asks no more of a Redis that does not say', async () => {
    await expect(checkRedis(answering({ redis_version: '7.4.0' }), needs)).resolves.toBeUndefined();
  });
});

describe('Worker.work on a Redis with unfit settings', () => {
  const redis = useRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });

  it('refuses one that may evict jobs, and names the setting', async () => {
    const worker = new Worker('q', { connection: redis.url, functions: { f: () => 1 } });
    const working = worker.work({ burst: true });
    await expect(working).rejects.toBeInstanceOf(RedisSettingError);
    await expect(working).rejects.toThrow(
      /maxmemory-policy is allkeys-lru.*CONFIG SET maxmemory-policy noeviction/s,
    );
    expect(await redis.client.exists('rq:workers', `rq:worker:${worker.name}`)).toBe(0);
  });

  it('works on it with allowEviction', async () => {
    const options = { connection: redis.url, functions: { f: () => 1 }, allowEviction: true };
    const worker = new Worker('q', options);
    await worker.work({ burst: true });
    expect(await redis.client.hget(`rq:worker:${worker.name}`, 'death')).not.toBeNull();
  });

  it('leaves no connection behind where it refuses', async () => {
    const worker = new Worker('q', { connection: redis.url, functions: { f: () => 1 } });
    await expect(worker.work()).rejects.toThrow('maxmemory-policy');
    await expect.poll(async () => (await clients(redis)).length, { interval: 20 }).toBe(1);
  });

  it('refuses one that takes too few connections', async () => {
    const small = await startRedis({ args: ['--maxclients', '4'] });
    try {
      const worker = new Worker(['a', 'b'], { connection: small.url, functions: { f: () => 1 } });
      // one of ours looks at keys, one is the worker's first
      await expect(worker.work({ burst: true })).rejects.toThrow(
        /Redis takes 2 more connections and this worker needs 4: raise maxclients \(now 4\)/,
      );
    } finally {
      await small.stop();
    }
  });
});

async function clients(redis: RedisServer): Promise<string[]> {
  const list = String(await redis.client.call('CLIENT', 'LIST'));
  return list.split('\n').filter(line => line !== '');
}
