import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { Queue } from '../../lib/queue.ts';
import type { Worker } from '../../lib/worker/worker.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';
import { freePort, startRedis } from '../support/redis.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
afterEach(() => redis.client.config('SET', 'maxmemory', '0'));
const makeWorker = useWorkers(redis);

const soon = { timeout: 15_000, interval: 10 };
const DATA = '["f",null,[],{}]';

async function reads(): Promise<number> {
  const clients = String(await redis.client.call('CLIENT', 'LIST'));
  return clients.split('\n').filter(line => / flags=\S*b/.test(line) && line.includes('cmd=blmove')).length;
}

async function put(queue: string, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const data = JSON.stringify(['f', null, [id], {}]);
    await redis.client.hset(`rq:job:${id}`, { status: 'queued', origin: queue, data });
  }
  await redis.client.rpush(`rq:queue:${queue}`, ...ids);
}

describe('a worker whose Redis is down when it starts', () => {
  it('keeps trying, and works once it is there', async () => {
    let attempts = 0;
    const port = await freePort();
    const closed = createServer(socket => {
      attempts++;
      socket.destroy();
    }).listen(port, '127.0.0.1');
    const worker = makeWorker({ f: () => 'ran' }, { connection: `redis://127.0.0.1:${port}` });
    const working = worker.work({ maxJobs: 1 });
    await expect.poll(() => attempts, soon).toBeGreaterThan(1);
    closed.close();
    await once(closed, 'close');
    const late = await startRedis({ port });
    const queue = new Queue('q', { connection: late.url });
    try {
      const job = await queue.enqueue('f');
      await working;
      expect(await job.result).toBe('ran');
    } finally {
      await queue.close();
      await worker.stop();
      await late.stop();
    }
  });

  it('says so, and can be stopped', async () => {
    const worker = makeWorker({ f: () => 1 }, { connection: 'redis://127.0.0.1:1' });
    const disconnected = once(worker, 'disconnected');
    const working = worker.work();
    const [error] = (await disconnected) as [Error];
    expect(error).toMatchObject({ code: 'RQ_CONNECTION' });
    expect(error.message).toContain('127.0.0.1:1:');
    const began = performance.now();
    await worker.stop();
    await working;
    // what does not answer gets 2 s
    expect(performance.now() - began).toBeLessThan(1900);
  });
});

describe('a worker whose connections are killed', () => {
  it('while it waits: runs the jobs that come, once each', async () => {
    const runs: string[] = [];
    const worker = makeWorker({ f: (id: string) => runs.push(id) });
    void worker.work();
    for (let i = 0; i < 3; i++) {
      await expect.poll(reads, soon).toBe(1);
      await redis.client.client('KILL', 'TYPE', 'NORMAL');
      await put('q', `job-${i}`);
      await expect.poll(() => redis.client.hget(`rq:job:job-${i}`, 'status'), soon).toBe('finished');
    }
    expect(runs).toEqual(['job-0', 'job-1', 'job-2']);
  });

  it('says that it was disconnected, and is again connected', async () => {
    const worker = makeWorker({ f: () => 1 });
    void worker.work();
    await expect.poll(reads, soon).toBe(1);
    const events: string[] = [];
    worker.on('disconnected', () => events.push('disconnected'));
    worker.on('reconnected', () => events.push('reconnected'));
    await redis.client.client('KILL', 'TYPE', 'NORMAL');
    await expect.poll(() => events, soon).toEqual(['disconnected', 'reconnected']);
  });

  it('while it works: runs each job once, and keeps each result', async () => {
    const ids = Array.from({ length: 300 }, (_, i) => `job-${i}`);
    await put('q', ...ids);
    const runs = new Map<string, number>();
    const f = async (id: string): Promise<string> => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      await sleep(3);
      return id;
    };
    const worker = makeWorker({ f }, { concurrency: 10 });
    const working = worker.work({ burst: true });
    for (const enough of [30, 90, 180]) {
      await expect.poll(() => runs.size, soon).toBeGreaterThan(enough);
      await redis.client.client('KILL', 'TYPE', 'NORMAL');
    }
    await working;
    expect(runs.size).toBe(300);
    expect([...runs].filter(([, n]) => n !== 1)).toEqual([]);
    expect(await redis.client.zcard('rq:finished:q')).toBe(300);
    expect(await redis.client.zcard('rq:wip:q')).toBe(0);
    expect(await redis.client.hget('rq:job:job-299', 'recoveries')).toBeNull();
  });
});

describe('a worker whose burst is over', () => {
  it('does not take its own end for a lost connection', async () => {
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length;
    // what earlier workers opened may take a while to close: then there is the one that looks at keys
    await expect.poll(sockets, soon).toBe(1);
    const worker = makeWorker();
    const told: string[] = [];
    worker.on('disconnected', error => told.push(error.message)).on('stopped', () => told.push('stopped'));
    await worker.work({ burst: true });
    await expect.poll(sockets, soon).toBe(1);
    // the end of a socket is told in a later turn
    for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setImmediate(resolve));
    expect(told).toEqual(['stopped']);
  });
});

describe('a worker on a Redis that is out of memory', () => {
  it('runs the jobs that wait, and keeps their results', async () => {
    const jobs = await q.enqueueMany([['f'], ['f']]);
    await redis.client.config('SET', 'maxmemory', '1');
    await makeWorker({ f: () => 'ran' }).work({ burst: true });
    await redis.client.config('SET', 'maxmemory', '0');
    for (const job of jobs) expect(await job.result).toBe('ran');
  });

  it('does not ask again and again while it waits', async () => {
    const worker = makeWorker({ f: () => 1 });
    void worker.work();
    await expect.poll(reads, soon).toBe(1);
    await redis.client.config('SET', 'maxmemory', '1');
    // its read ends, and a new one is refused
    await redis.client.client('UNBLOCK', await readId());
    const calls = async (): Promise<number> => {
      const info = await redis.client.info('commandstats');
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0);
    };
    await expect.poll(reads, soon).toBe(0);
    const before = await calls();
    const began = performance.now();
    await expect.poll(calls, soon).toBeGreaterThan(before);
    const more = (await calls()) - before;
    // its looks at what is due are among them, two a second
    expect(more).toBeLessThan(10 + 5 * ((performance.now() - began) / 1000));
  });

  async function readId(): Promise<string> {
    const clients = String(await redis.client.call('CLIENT', 'LIST'));
    return /^id=(\d+).*cmd=blmove/m.exec(clients)?.[1] ?? '';
  }
});

describe('a worker on a queue one of whose keys has the wrong type', () => {
  it.each(['rq:queue:bad', 'rq:wip:bad', 'rq:finished:bad', 'rq:failed:bad'])(
    'goes on with its other queues: %s',
    async key => {
      if (key !== 'rq:queue:bad') await put('bad', 'stuck');
      await redis.client.set(key, 'x');
      await put('good', '1');
      const worker = makeWorker({ f: () => 'ran' }, {}, ['bad', 'good']);
      void worker.work();
      await expect.poll(() => redis.client.hget('rq:job:1', 'status'), soon).toBe('finished');
      await put('good', '2');
      await expect.poll(() => redis.client.hget('rq:job:2', 'status'), soon).toBe('finished');
    },
  );

  it('tells it as an error', async () => {
    await redis.client.set('rq:wip:q', 'x');
    const worker = makeWorker({ f: () => 1 });
    const told = new Promise<Error>(resolve => worker.once('error', resolve));
    void worker.work();
    expect((await told).message).toContain('WRONGTYPE');
  });

  /** Resolves a second or so after the worker began to wait. */
  async function waits({ name }: Worker): Promise<void> {
    await expect.poll(() => redis.client.hget(`rq:worker:${name}`, 'state'), soon).toBe('idle');
  }

  it.each(['rq:wip:q', 'rq:failed:q'])('runs its jobs once %s is right again', async key => {
    await redis.client.set(key, 'x');
    const ids = ['1', '2', '3', '4'];
    await put('q', ...ids);
    const worker = makeWorker({ f: () => 'ran' });
    void worker.work();
    await waits(worker);
    await redis.client.del(key);
    for (const id of ids) {
      await expect.poll(() => redis.client.hget(`rq:job:${id}`, 'status'), soon).toBe('finished');
    }
  });

  it('leaves the ids on their list, for others and for better times', async () => {
    await redis.client.set('rq:wip:q', 'x');
    await put('q', ...Array.from({ length: 50 }, (_, i) => `job-${i}`));
    const worker = makeWorker({ f: () => 'ran' });
    void worker.work();
    await waits(worker);
    expect(await redis.client.llen('rq:queue:q')).toBeGreaterThan(45);
  });
});

describe('a worker with a client that was handed in', () => {
  it('opens connections of its own, and leaves the client open', async () => {
    const client = new Redis(redis.port, '127.0.0.1');
    await put('q', '1');
    await makeWorker({ f: () => 'ran' }, { connection: client }).work({ burst: true });
    expect(await redis.client.hget('rq:job:1', 'status')).toBe('finished');
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('takes options with a database', async () => {
    const client = redis.client.duplicate({ db: 3 });
    await client.hset('rq:job:1', { status: 'queued', origin: 'q', data: DATA });
    await client.rpush('rq:queue:q', '1');
    await makeWorker({ f: () => 'ran' }, { connection: { port: redis.port, db: 3 } }).work({ burst: true });
    expect(await client.hget('rq:job:1', 'status')).toBe('finished');
    client.disconnect();
  });
});
