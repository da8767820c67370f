/** A queue's connection: closed, handed in, refused, and never in the way of a script's end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { describe, expect, it, vi } from 'vitest';
import { ConnectionError, RqError } from '../lib/errors.ts';
import { Queue } from '../lib/queue.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useRedis } from './support/in-process.ts';
import { startRedis } from './support/redis.ts';
import * as tasks from './support/tasks.js';

const redis = useRedis();

async function clients(): Promise<number> {
  return ((await redis.client.client('LIST')) as string).trim().split('\n').length;
}

describe('Queue.close', () => {
  it('closes every connection that the queue opened', async () => {
    const before = await clients();
    const q = new Queue('default', { connection: redis.url });
    const job = await q.enqueue('f');
    await expect(job.wait({ timeout: '10ms' })).rejects.toMatchObject({ code: 'RQ_WAIT_TIMEOUT' });
    await expect.poll(clients).toBe(before + 2);
    await q.close();
    await vi.waitFor(async () => expect(await clients()).toBe(before), { timeout: 10_000, interval: 20 });
  });

  it('can be called twice, and before anything was connected', async () => {
    const q = new Queue('default', { connection: redis.url });
    await q.close();
    await q.close();
    const used = new Queue('default', { connection: redis.url });
    await used.enqueue('f');
    await Promise.all([used.close(), used.close()]);
    await used.close();
    expect(await redis.client.llen('rq:queue:default')).toBe(1);
  });

  it('has later calls reject at once', async () => {
    const q = new Queue('default', { connection: redis.url });
    const job = await q.enqueue('f');
    await q.close();
    const began = performance.now();
    const calls = [q.enqueue('f'), q.count(), q.fetchJob(job.id), job.cancel(), job.result];
    for (const call of await Promise.allSettled(calls)) {
      const message: unknown = expect.stringMatching(/is closed/);
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'RQ_CONNECTION', message } });
    }
    expect(performance.now() - began).toBeLessThan(4500);
    expect(await redis.client.llen('rq:queue:default')).toBe(1);
  });

  it('leaves the event loop free where a call follows', async () => {
    const q = new Queue('default', { connection: redis.url });
    await q.count();
    let [longest, last] = [0, performance.now()];
    const look = (): void => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    };
    const timer = setInterval(look, 10);
    const call = q.close().then(() => q.enqueue('f'));
    await expect(call).rejects.toThrow(RqError);
    look();
    clearInterval(timer);
    expect(longest).toBeLessThan(4500);
  });

  it('rejects calls under way', async () => {
    const q = new Queue('default', { connection: redis.url });
    await q.count();
    await redis.client.client('PAUSE', 300);
    const call = q.count();
    await q.close();
    await expect(call).rejects.toThrow(ConnectionError);
    await redis.client.client('UNPAUSE');
  });

  it('ends a wait', async () => {
    const q = new Queue('default', { connection: redis.url });
    const job = await q.enqueue('f');
    const wait = job.wait();
    await vi.waitFor(
      async () => expect(await redis.client.pubsub('NUMSUB', `rq:status:default:${job.id}`)).toContain(1),
      { timeout: 10_000, interval: 10 },
    );
    const began = performance.now();
    await q.close();
    await expect(wait).rejects.toThrow(ConnectionError);
    expect(performance.now() - began).toBeLessThan(4500);
  });

  it('is what leaving an await using block does', async () => {
    const before = await clients();
    {
      await using q = new Queue('default', { connection: redis.url });
      await q.enqueue('f');
      expect(await clients()).toBe(before + 1);
    }
    await vi.waitFor(async () => expect(await clients()).toBe(before), { timeout: 10_000, interval: 20 });
  });
});

describe('A client that is handed in', () => {
  it('is used, and stays open when the queue is closed', async () => {
    const client = new Redis(redis.url);
    await client.ping();
    const before = await clients();
    const q = new Queue('default', { connection: client });
    const { id } = await q.enqueue('f');
    expect(await clients()).toBe(before);
    await q.close();
    expect(client.status).toBe('ready');
    expect(await client.lrange('rq:queue:default', 0, -1)).toEqual([id]);
    client.disconnect();
  });

  it('has calls reject at once where its owner closed it', async () => {
    const client = new Redis(redis.url);
    await using q = new Queue('default', { connection: client });
    await q.count();
    client.disconnect();
    await once(client, 'end');
    const began = performance.now();
    await expect(q.enqueue('f')).rejects.toThrow(/127\.0\.0\.1:\d+ is closed/);
    expect(performance.now() - began).toBeLessThan(4500);
  });

  it('is not made to subscribe', async () => {
    const client = new Redis(redis.url);
    await using q = new Queue('default', { connection: client });
    const job = await q.enqueue('f');
    await expect(job.wait({ timeout: '10ms' })).rejects.toMatchObject({ code: 'RQ_WAIT_TIMEOUT' });
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  const kinds: [string, (at: { readonly host: string; readonly port: number }) => Redis][] = [
    ['of RESP3 with its reply mapping', at => new Redis({ ...at, protocol: 3, replyMapping: 'resp3' })],
    ['that connects lazily', at => new Redis({ ...at, lazyConnect: true })],
    ['that pipelines by itself', at => new Redis({ ...at, enableAutoPipelining: true })],
    ['without an offline queue', at => new Redis({ ...at, enableOfflineQueue: false })],
    ['that gives numbers as strings', at => new Redis({ ...at, stringNumbers: true })],
    ['of another database', at => new Redis({ ...at, db: 5 })],
  ];
  it.each(kinds)('%s works just the same', async (_, connect) => {
    const client = connect({ host: '127.0.0.1', port: redis.port });
    const q = new Queue('default', { connection: client });
    const job = await q.enqueue('sum', [[1, 2]], { jobId: 'a', meta: { a: [] } });
    await expect(q.enqueue('sum', [[1, 2]], { jobId: 'a' })).rejects.toMatchObject({
      code: 'RQ_DUPLICATE_JOB',
    });
    const failing = await q.enqueue('fail', ['no']);
    expect(await q.count()).toBe(2);
    expect(await q.getJobIds()).toEqual([job.id, failing.id]);
    expect((await q.fetchJob('a'))?.meta).toEqual({ a: [] });
    await job.saveMeta();
    const worker = new Worker('default', { connection: client, functions: tasks });
    const [value] = await Promise.all([job.wait({ timeout: 10 }), worker.work({ burst: true })]);
    expect(value).toBe(3);
    expect(await job.result).toBe(3);
    await expect(failing.result).rejects.toMatchObject({ remote: { name: 'RangeError', message: 'no' } });
    expect(await q.finishedRegistry.count()).toBe(1);
    expect(await q.finishedRegistry.getJobIds()).toEqual(['a']);
    await (await q.failedRegistry.requeue(failing.id)).cancel();
    expect(await q.canceledRegistry.getJobIds()).toEqual([failing.id]);
    await job.delete();
    expect(await q.fetchJob('a')).toBeUndefined();
    await q.enqueue('f');
    expect(await q.empty()).toBe(1);
    await q.close();
    client.disconnect();
  });
});

describe.concurrent('Without Redis', () => {
  it('a call rejects within 5 s, naming host and port but never the password', async () => {
    await using q = new Queue('default', { connection: 'redis://user:hunter2@127.0.0.1:1' });
    const began = performance.now();
    const errors = await Promise.all(
      [q.enqueue('f'), q.count(), q.fetchJob('a')].map(call =>
        call.then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    );
    expect(performance.now() - began).toBeGreaterThan(4500);
    // the deadline is 5 s, and not as much again
    expect(performance.now() - began).toBeLessThan(9000);
    for (const error of errors) {
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error).toMatchObject({ code: 'RQ_CONNECTION', name: 'ConnectionError' });
      expect(String(error)).toContain('127.0.0.1:1 ');
      expect(String(error)).toMatch(/nothing was sent/);
      expect(inspect(error, { depth: 5 })).not.toContain('hunter2');
    }
  });

  it('a call over a client that was handed in rejects within 5 s', async () => {
    const client = new Redis(1, '127.0.0.1');
    client.on('error', () => {});
    await using q = new Queue('default', { connection: client });
    const began = performance.now();
    await expect(q.enqueue('f')).rejects.toMatchObject({ code: 'RQ_CONNECTION' });
    expect(performance.now() - began).toBeLessThan(9000);
    client.disconnect();
  });

  it('a wrong password is said to be the reason', async ({ onTestFinished }) => {
    const server = await startRedis({ args: ['--requirepass', 'right'] });
    onTestFinished(() => server.stop());
    await using q = new Queue('default', { connection: `redis://:hunter2@127.0.0.1:${server.port}` });
    const error: unknown = await q.enqueue('f').then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toMatch(/WRONGPASS/);
    expect(inspect(error, { depth: 5 })).not.toContain('hunter2');
  });
});

describe('A Redis that went away', () => {
  it('has a call made meanwhile go through once it is back', async ({ onTestFinished }) => {
    const server = await startRedis();
    await using q = new Queue('default', { connection: server.url });
    await q.enqueue('f', [1]);
    await server.kill();
    const call = q.enqueue('f', [2]);
    call.catch(() => {});
    const again = await startRedis({ port: server.port, dir: server.dir });
    onTestFinished(() => again.stop());
    const { id } = await call;
    expect(await again.client.lrange('rq:queue:default', 0, -1)).toEqual([id]);
  });
});

describe('A connection that broke this very moment', () => {
  it('does not hold up the event loop, and the call goes through over a new one', async () => {
    const client = new Redis({ host: '127.0.0.1', port: redis.port, enableOfflineQueue: false });
    await using q = new Queue('default', { connection: client });
    await q.count();
    const began = performance.now();
    client.stream.destroy();
    const { id } = await q.enqueue('f');
    expect(performance.now() - began).toBeLessThan(4500);
    expect(await redis.client.lrange('rq:queue:default', 0, -1)).toEqual([id]);
    client.disconnect();
  });
});

describe('A script that never closes its queue', () => {
  const library = new URL('../dist/lib/index.js', import.meta.url).href;

  /** `ms` are those from its last word to its end. */
  async function run(body: string): Promise<{ code: unknown; out: string; ms: number }> {
    const script = `import { Queue, task } from ${JSON.stringify(library)};\n${body}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env: { ...process.env, RQ_REDIS_URL: redis.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, said] = ['', performance.now()];
    const hear = (chunk: Buffer): void => {
      out += chunk.toString();
      said = performance.now();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const [code] = (await once(child, 'close', { signal: AbortSignal.timeout(25_000) }).catch(() => {
      child.kill('SIGKILL');
      return ['did not end'];
    })) as [unknown];
    return { code, out, ms: performance.now() - said };
  }

  it('ends by itself', async () => {
    const { code, out, ms } = await run(`
      const job = await new Queue().enqueue('f', [1]);
      console.log(await job.result, await job.getStatus());`);
    expect({ code, out }).toEqual({ code: 0, out: 'undefined queued\n' });
    expect(ms).toBeLessThan(4000);
    expect(await redis.client.llen('rq:queue:default')).toBe(1);
  });

  it('ends by itself although nothing was awaited, with the job queued', async () => {
    const { code, out } = await run(`new Queue().enqueue('f', [1]);`);
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(await redis.client.llen('rq:queue:default')).toBe(1);
  });

  it('ends by itself after a wait and after a task’s delay', async () => {
    const { code, out, ms } = await run(`
      const job = await task(function f() {}).delay();
      console.log(await job.wait({ timeout: '50ms' }).catch(error => error.code));`);
    expect({ code, out }).toEqual({ code: 0, out: 'RQ_WAIT_TIMEOUT\n' });
    expect(ms).toBeLessThan(4000);
  });

  it('ends after the jobs of a queue with isAsync: false, not before', async () => {
    const { code, out } = await run(`
      const q = new Queue('default', { isAsync: false });
      const job = await q.enqueue(function f() { return 85; });
      console.log(await job.result);`);
    expect({ code, out }).toEqual({ code: 0, out: '85\n' });
  });
});
