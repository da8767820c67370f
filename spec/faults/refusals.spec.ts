/** What Redis refuses, by name: producers are told, workers go on once it passes, nothing acknowledged is lost. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { ConnectionError, Queue, RedisRefusedError, Worker } from '../../lib/index.ts';
import { refusalOf } from '../../lib/refusal.ts';
import { freePort, startRedis, type RedisServer, type ServerOptions } from '../support/redis.ts';

const soon = { timeout: 15_000, interval: 20 };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function redisWith(options?: ServerOptions): Promise<RedisServer> {
  const redis = await startRedis(options);
  closers.push(() => redis.stop());
  return redis;
}

function queueAt(redis: RedisServer): Queue {
  const q = new Queue('q', { connection: redis.url });
  closers.push(() => q.close());
  return q;
}

/** A worker that notes what it ran and what went wrong. */
async function workAt(
  redis: RedisServer,
  concurrency: number = 1,
): Promise<{ worker: Worker; ran: unknown[]; errors: string[] }> {
  const ran: unknown[] = [];
  const functions = { note: (what: unknown) => void ran.push(what), long: (n: number) => 'x'.repeat(n) };
  const worker = new Worker('q', { connection: redis.url, functions, concurrency });
  closers.push(() => worker.stop('cold'));
  const errors: string[] = [];
  worker.on('error', error => errors.push(error.message));
  const listening = new Promise(resolve => worker.once('listening', resolve));
  void worker.work();
  await listening;
  return { worker, ran, errors };
}

async function idle(redis: RedisServer): Promise<void> {
  await expect.poll(async () => String(await redis.client.client('LIST')), soon).toMatch(/cmd=blmove/);
}

describe('READONLY', () => {
  it('is told to a producer after the deadline, as a replica’s word', async () => {
    const redis = await redisWith();
    const q = queueAt(redis);
    await q.enqueue('note', [1]);
    await redis.client.replicaof('127.0.0.1', await freePort());
    const refused = await q.enqueue('note', [2]).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RedisRefusedError);
    expect(String(refused)).toMatch(/READONLY.*this Redis is a replica/);
    await redis.client.replicaof('NO', 'ONE');
    expect(await q.count()).toBe(1);
  });

  it('is waited out by a producer where a master is back in time', async () => {
    const redis = await redisWith();
    const q = queueAt(redis);
    await q.count();
    await redis.client.replicaof('127.0.0.1', await freePort());
    const jobs = Promise.all([q.enqueue('note', [1]), q.enqueue('note', [2], { jobId: 'own' })]);
    setTimeout(() => void redis.client.replicaof('NO', 'ONE'), 500);
    const ids = (await jobs).map(({ id }) => id);
    expect(await q.getJobIds()).toEqual(ids);
  });

  it('makes a worker connect anew, with every link, until it finds a master', async () => {
    const redis = await redisWith();
    const q = queueAt(redis);
    const { ran, errors } = await workAt(redis);
    await idle(redis);
    const ids = async (): Promise<string[]> =>
      [...String(await redis.client.client('LIST')).matchAll(/^id=(\d+).*cmd=(?!client|replicaof)/gm)].map(
        ([, id]) => id ?? '',
      );
    const before = await ids();
    await redis.client.replicaof('127.0.0.1', await freePort());
    await expect.poll(async () => (await ids()).some(id => before.includes(id)), soon).toBe(false);
    await redis.client.replicaof('NO', 'ONE');
    await q.enqueue('note', ['after']);
    await expect.poll(() => ran, soon).toEqual(['after']);
    expect(errors.join()).not.toMatch(/undefined/);
  });
});

describe('LOADING', () => {
  it('is waited out by a producer, and by a worker that starts', { timeout: 60_000 }, async () => {
    const first = await redisWith({ args: ['--save', '3600 1'] });
    const pipeline = first.client.pipeline();
    for (let i = 0; i < 300; i++) pipeline.set(`filler:${i}`, 'x'.repeat(100));
    await pipeline.exec();
    await first.client.save();
    await first.kill();
    // long enough for a look, and less than a producer's deadline
    const slow = ['--key-load-delay', '8000', '--loading-process-events-interval-bytes', '1024'];
    const loading = startRedis({ port: first.port, dir: first.dir, args: slow, whileLoading: true });
    const redis = await loading;
    closers.push(() => redis.stop());
    const hasty = new Redis(redis.port, '127.0.0.1', { enableReadyCheck: false });
    closers.push(() => hasty.disconnect());
    await expect(hasty.get('x')).rejects.toThrow(/^LOADING/);
    const q = queueAt(redis);
    const [job, { ran }] = await Promise.all([q.enqueue('note', [1]), workAt(redis)]);
    expect(await job.wait({ timeout: '10s' })).toBeNull();
    expect(ran).toEqual([1]);
  });
});

describe('NOREPLICAS', () => {
  it('is told to a producer at once; a worker goes on when the replicas are back', async () => {
    const redis = await redisWith();
    const q = queueAt(redis);
    const { ran, errors } = await workAt(redis);
    await redis.client.config('SET', 'min-replicas-to-write', '1');
    const refused = await q.enqueue('note', [1]).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RedisRefusedError);
    expect(String(refused)).toMatch(/NOREPLICAS.*min-replicas-to-write/);
    await expect.poll(() => errors.join(), soon).toMatch(/NOREPLICAS.*min-replicas-to-write/);
    await redis.client.config('SET', 'min-replicas-to-write', '0');
    await q.enqueue('note', [2]);
    await expect.poll(() => ran, soon).toEqual([2]);
  });
});

describe('MISCONF', () => {
  it('is told to a producer at once; outcomes wait until Redis can persist again', async () => {
    const redis = await redisWith();
    const q = queueAt(redis);
    const { ran } = await workAt(redis);
    // a folder where the snapshot should go
    await mkdir(join(redis.dir, 'dump.rdb'));
    await writeFile(join(redis.dir, 'dump.rdb', 'in-the-way'), '');
    await redis.client.config('SET', 'save', '3600 1');
    await q.enqueue('note', [1]);
    await expect.poll(() => ran, soon).toEqual([1]);
    await redis.client.bgsave();
    await expect.poll(() => redis.client.info('persistence'), soon).toMatch(/rdb_last_bgsave_status:err/);
    const refused = await q.enqueue('note', [2]).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RedisRefusedError);
    expect(String(refused)).toMatch(/MISCONF.*can’t persist/);
    await redis.client.config('SET', 'stop-writes-on-bgsave-error', 'no');
    await q.enqueue('note', [3]);
    await expect.poll(() => ran, soon).toEqual([1, 3]);
    await expect.poll(() => q.finishedRegistry.count(), soon).toBe(2);
  });
});

describe('maxclients', () => {
  it('is named where a producer can’t connect', async () => {
    const redis = await redisWith({ args: ['--maxclients', '1'] });
    await redis.client.ping();
    const q = queueAt(redis);
    // Redis closes the connection with the word: on a busy machine the client may write to it before it has read that
    const refused = async (): Promise<string> => {
      const error: unknown = await q.enqueue('note', [1]).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConnectionError);
      return String(error);
    };
    await expect
      .poll(refused, { timeout: 25_000 })
      .toMatch(/max number of clients reached.*raise its maxclients/);
  });

  it('does not keep a worker from a queue that it can’t wait for, and is said', async () => {
    const redis = await redisWith();
    const q = queueAt(redis);
    await q.count();
    const { ran, errors } = await workAt(redis);
    await idle(redis);
    const clients = String(await redis.client.client('LIST'));
    const reader = /^id=(\d+).*cmd=blmove/m.exec(clients)?.[1] ?? '';
    await redis.client.config('SET', 'maxclients', '4');
    await redis.client.client('KILL', 'ID', reader);
    await q.enqueue('note', [1]);
    await expect.poll(() => ran, soon).toEqual([1]);
    await expect.poll(() => errors.join(), soon).toMatch(/Queue q is not waited for.*maxclients/);
    await redis.client.config('SET', 'maxclients', '100');
    await idle(redis);
  });
});

describe('an outcome that Redis never takes', () => {
  const small = { args: ['--proto-max-bulk-len', '1mb'] };

  it('holds up no other', { timeout: 60_000 }, async () => {
    const redis = await redisWith(small);
    const q = queueAt(redis);
    const { ran } = await workAt(redis, 2);
    const job = await q.enqueue('long', [2 * 1024 * 1024]);
    await expect.poll(() => job.getStatus(), soon).toBe('started');
    for (let n = 0; n < 20; n++) await q.enqueue('note', [n]);
    // after some pauses, which grow while the connection breaks each time, for some 13 s
    await expect.poll(() => q.finishedRegistry.count(), { timeout: 40_000 }).toBe(20);
    expect(ran).toHaveLength(20);
    expect(await job.getStatus()).toBe('started');
  });
});

describe('refusalOf', () => {
  const reply = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' });

  it.each(['READONLY', 'UNBLOCKED', 'LOADING', 'NOREPLICAS', 'MISCONF', 'OOM', 'NOSCRIPT', 'NOPERM'])(
    'knows %s',
    name => {
      expect(refusalOf(reply(`${name} as Redis puts it`))).toMatchObject({ name });
    },
  );

  it('knows nothing of what is no answer of Redis, and of what nobody foresaw', () => {
    expect(refusalOf(new Error('READONLY'))).toBeUndefined();
    expect(refusalOf(reply('ERR something else'))).toBeUndefined();
    expect(refusalOf('OOM')).toBeUndefined();
  });
});
