import { afterEach, describe, expect, it } from 'vitest';
import { getCurrentJob } from '../../lib/current-job.ts';
import type { FunctionSource } from '../../lib/functions.ts';
import { Keys } from '../../lib/keys.ts';
import { Queue } from '../../lib/queue.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { Waits } from '../../lib/worker/waits.ts';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import type { Worker } from '../../lib/worker/worker.ts';
import { useLink, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const link = useLink(redis, { persistent: true });
const makeWorker = useWorkers(redis);
const opened: Waits[] = [];

afterEach(() => {
  for (const waits of opened.splice(0)) waits.close();
});

const soon = { timeout: 15_000, interval: 5 };

/** Number of blocking reads under way. */
async function reads(): Promise<number> {
  const clients = String(await redis.client.call('CLIENT', 'LIST'));
  return clients.split('\n').filter(line => / flags=\S*b/.test(line) && line.includes('cmd=blmove')).length;
}

const list = (key: string): Promise<string[]> => redis.client.lrange(key, 0, -1);
const put = (queue: string, id: string): Promise<number> => redis.client.rpush(`rq:queue:${queue}`, id);

/**
 * Waits whose claims only look at what was taken. Also `letGo`, which ends the reads and puts back what they took; and how
 * often it was said that a reply was lost.
 */
function makeWaits(): { waits: Waits; taken: number[]; lost: () => number; letGo: () => Promise<void> } {
  const taken: number[] = [];
  let lost = 0;
  const store = new WorkerStore(new Keys(), 'w1', ['a', 'b']);
  const waits = new Waits(store, link, {
    async claim(client, place) {
      const held = await client.llen(store.claimsKey(place));
      return () => {
        if (held > 0) taken.push(place);
      };
    },
    taken: place => taken.push(place),
    lost: () => lost++,
    mayWait: () => true,
    failed: () => {},
  });
  opened.push(waits);
  const letGo = async (): Promise<void> => {
    if ((await waits.disarm()) || taken.length > 0) await store.releaseClaims(link.redis);
  };
  return { waits, taken, lost: () => lost, letGo };
}

describe('Waits', () => {
  it('reads nothing before it is armed', async () => {
    const { waits } = makeWaits();
    expect(waits.armed).toBe(false);
    expect(await reads()).toBe(0);
  });

  it('moves an id to the worker’s claims, and says from which queue', async () => {
    const { waits, taken } = makeWaits();
    waits.arm();
    await expect.poll(reads, soon).toBe(2);
    await put('b', '1');
    await expect.poll(() => taken, soon).toEqual([1]);
    expect(await list('rq:worker:w1:claims:b')).toEqual(['1']);
    expect(await list('rq:queue:b')).toEqual([]);
  });

  it('takes one id, and the next when it is armed again', async () => {
    const { waits, taken } = makeWaits();
    waits.arm();
    await expect.poll(reads, soon).toBe(2);
    await redis.client.rpush('rq:queue:a', '1', '2');
    await expect.poll(() => taken, soon).toEqual([0]);
    expect(await list('rq:queue:a')).toEqual(['2']);
    await expect.poll(reads, soon).toBe(1);
    waits.arm();
    await expect.poll(() => taken, soon).toEqual([0, 0]);
    expect(await list('rq:worker:w1:claims:a')).toEqual(['1', '2']);
  });

  it('ends all reads when it is disarmed', async () => {
    const { waits, taken } = makeWaits();
    waits.arm();
    await expect.poll(reads, soon).toBe(2);
    await waits.disarm();
    expect(waits.armed).toBe(false);
    expect(await reads()).toBe(0);
    await put('a', '1');
    expect(await list('rq:queue:a')).toEqual(['1']);
    expect(taken).toEqual([]);
  });

  it('ends reads that have not reached Redis yet', async () => {
    const { waits } = makeWaits();
    waits.arm();
    await waits.disarm();
    expect(waits.armed).toBe(false);
    await put('a', '1');
    expect(await list('rq:queue:a')).toEqual(['1']);
    expect(await reads()).toBe(0);
  });

  it('leaves each id on its list once disarmed, however close they come', async () => {
    const { waits, letGo } = makeWaits();
    for (let i = 0; i < 50; i++) {
      waits.arm();
      await expect.poll(reads, { ...soon, interval: 1 }).toBe(2);
      await Promise.all([put('a', `a${i}`), put('b', `b${i}`), letGo()]);
      expect([await list('rq:queue:a'), await list('rq:queue:b')]).toEqual([[`a${i}`], [`b${i}`]]);
      await redis.client.del('rq:queue:a', 'rq:queue:b');
    }
  });

  it('can be disarmed and closed before it was armed, and twice', async () => {
    const { waits } = makeWaits();
    await waits.disarm();
    await waits.disarm();
    waits.close();
    waits.close();
    expect(waits.armed).toBe(false);
  });

  it('goes on after its connection was lost', async () => {
    const { waits, taken, lost } = makeWaits();
    waits.arm();
    await expect.poll(reads, soon).toBe(2);
    const ids = String(await redis.client.call('CLIENT', 'LIST'))
      .split('\n')
      .filter(line => line.includes('cmd=blmove'))
      .map(line => /^id=(\d+)/.exec(line)?.[1] ?? '');
    for (const id of ids) await redis.client.client('KILL', 'ID', id);
    // an id may have been taken: it is asked for
    await expect.poll(() => taken.toSorted((x, y) => x - y), soon).toEqual([0, 1]);
    // and so may be a claim
    expect(lost()).toBe(2);
    waits.arm();
    await expect.poll(reads, soon).toBe(2);
    await put('a', '1');
    await expect.poll(() => list('rq:worker:w1:claims:a'), soon).toEqual(['1']);
  });

  it('asks a queue whose list has the wrong type no more than once a second', async () => {
    await redis.client.set('rq:queue:a', 'x');
    const { waits, taken } = makeWaits();
    waits.arm();
    await expect.poll(reads, soon).toBe(1);
    const calls = async (): Promise<number> =>
      Number(/cmdstat_blmove:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);
    const before = await calls();
    await expect.poll(() => taken, soon).toEqual([0]);
    expect((await calls()) - before).toBeLessThan(3);
  });
});

describe('a worker with one slot and two queues', () => {
  async function start(functions: FunctionSource, options: Partial<WorkerOptions> = {}): Promise<Worker> {
    const worker = makeWorker(functions, { name: 'w1', ...options }, ['a', 'b']);
    void worker.work();
    await expect.poll(reads, soon).toBe(2);
    return worker;
  }
  const enqueue = async (queue: string, id: string, name: string): Promise<void> => {
    const fields = { status: 'queued', origin: queue, data: `["${name}",null,[],{}]` };
    await redis.client.hset(`rq:job:${id}`, fields);
  };

  it('has ended the other queue’s read when its function begins', async () => {
    const seen: unknown[] = [];
    const slow = async (): Promise<void> => {
      const underWay = await reads();
      await put('b', 'stranger');
      seen.push(underWay, await list('rq:queue:b'), await redis.client.exists('rq:worker:w1:claims:b'));
    };
    await start({ slow, stranger: () => 1 });
    await enqueue('a', 'mine', 'slow');
    await enqueue('b', 'stranger', 'stranger');
    await put('a', 'mine');
    await expect.poll(() => redis.client.hget('rq:job:stranger', 'status'), soon).toBe('finished');
    expect(seen).toEqual([0, ['stranger'], 0]);
  });

  it('puts an id back to the front that the other read took meanwhile', async () => {
    let held: number | undefined;
    const slow = async (): Promise<void> => {
      held = await redis.client.exists('rq:worker:w1:claims:b');
    };
    await start({ slow, stranger: () => 1 });
    await enqueue('a', 'mine', 'slow');
    for (const id of ['s1', 's2']) await enqueue('b', id, 'stranger');
    await redis.client.multi().rpush('rq:queue:a', 'mine').rpush('rq:queue:b', 's1', 's2').exec();
    await expect.poll(() => redis.client.hget('rq:job:s2', 'status'), soon).toBe('finished');
    await expect.poll(() => redis.client.hget('rq:job:mine', 'status'), soon).toBe('finished');
    expect(held).toBe(0);
  });

  it('holds no stranger’s job while its function runs, whenever that came', { timeout: 90_000 }, async () => {
    let [held, mine, strangers] = [0, 0, 0];
    const slow = async (): Promise<void> => {
      held += await redis.client.exists('rq:worker:w1:claims:b');
      mine++;
    };
    await start({ slow, stranger: () => strangers++ });
    for (let i = 0; i < 150; i++) {
      await expect.poll(reads, { ...soon, interval: 1 }).toBe(2);
      await enqueue('a', `a${i}`, 'slow');
      await enqueue('b', `b${i}`, 'stranger');
      const first = put('a', `a${i}`);
      // at any moment of the worker's call for the first one
      const until = performance.now() + (i % 10) * 0.15;
      while (performance.now() < until) await new Promise(setImmediate);
      await Promise.all([first, put('b', `b${i}`)]);
      await expect.poll(() => mine + strangers, { ...soon, interval: 1 }).toBe(2 * (i + 1));
    }
    expect(held).toBe(0);
  });

  it('starts no run that it has no slot for, where both reads are given something at once', async () => {
    let runs = 0;
    await start({ f: () => runs++ });
    for (let i = 0; i < 20; i++) {
      await expect.poll(reads, { ...soon, interval: 1 }).toBe(2);
      await enqueue('a', `a${i}`, 'f');
      await enqueue('b', `b${i}`, 'f');
      await redis.client.multi().rpush('rq:queue:a', `a${i}`).rpush('rq:queue:b', `b${i}`).exec();
      await expect.poll(() => runs, { ...soon, interval: 1 }).toBe(2 * (i + 1));
    }
    // each start is counted, also of a run that is given back
    expect(await redis.client.mget('rq:taken:a', 'rq:taken:b')).toEqual(['20', '20']);
  });

  it('waits again when its slot is free', async () => {
    await start({ f: () => 1 });
    await enqueue('a', '1', 'f');
    await put('a', '1');
    await expect.poll(() => redis.client.hget('rq:job:1', 'status'), soon).toBe('finished');
    await expect.poll(reads, soon).toBe(2);
  });

  it('goes on waiting with a free slot while a job runs', async () => {
    let end: () => void = () => {};
    const slow = (): Promise<void> => new Promise(resolve => (end = resolve));
    await start({ slow, f: () => 1 }, { concurrency: 2 });
    await enqueue('a', 'slow', 'slow');
    await put('a', 'slow');
    await expect.poll(() => redis.client.hget('rq:job:slow', 'status'), soon).toBe('started');
    await expect.poll(reads, soon).toBe(2);
    await enqueue('b', 'quick', 'f');
    await put('b', 'quick');
    await expect.poll(() => redis.client.hget('rq:job:quick', 'status'), soon).toBe('finished');
    end();
  });
});

describe('an idle worker that is given a job', () => {
  it('waits on where the job waits aside for a slot of its key', async () => {
    const worker = makeWorker({ f: () => 1 }, { name: 'w1', concurrency: 4 }, ['a']);
    void worker.work();
    await expect.poll(reads, soon).toBe(1);
    await redis.client.hset('rq:job:aside', {
      status: 'queued',
      origin: 'a',
      data: '["f",null,[],{}]',
      limit_key: 'k',
      limit_concurrency: '1',
    });
    await redis.client.sadd('rq:slots:k', 'other:run');
    await put('a', 'aside');
    await expect.poll(() => redis.client.zcard('rq:parked:k'), soon).toBe(1);
    await redis.client.hset('rq:job:plain', { status: 'queued', origin: 'a', data: '["f",null,[],{}]' });
    await put('a', 'plain');
    // and not at the next look at its claims, in 15 s
    await expect
      .poll(() => redis.client.hget('rq:job:plain', 'status'), { timeout: 5_000, interval: 5 })
      .toBe('finished');
  });

  it('does not stop the next run of a job that was stopped while it waited for another', async () => {
    await using q = new Queue('a', { connection: redis.url });
    let runs = 0;
    const f = (): Promise<void> | number => {
      runs++;
      const signal = getCurrentJob()?.signal;
      if (runs > 1 || signal === undefined) return runs;
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))));
    };
    const worker = makeWorker({ f }, { name: 'w1', concurrency: 2 }, ['a']);
    void worker.work();
    await expect.poll(reads, soon).toBe(1);
    const job = await q.enqueue('f');
    await expect.poll(() => runs, soon).toBe(1);
    await expect.poll(reads, soon).toBe(1);
    await job.stop();
    await expect.poll(() => job.getStatus(), soon).toBe('stopped');
    await job.requeue();
    expect(await job.wait({ timeout: 15 })).toBe(2);
  });

  it('asks for it once, and once more with its end', async () => {
    const calls = async (): Promise<number> =>
      Number(/cmdstat_hgetall:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);
    const worker = makeWorker({ f: () => 1 }, { name: 'w1', concurrency: 4 }, ['a']);
    const advances: string[] = [];
    void worker.work();
    await expect.poll(reads, soon).toBe(1);
    const monitor = await redis.client.monitor();
    monitor.on('monitor', (_: string, args: string[], source: string) => {
      if (source !== 'lua' && args[0]?.toLowerCase() === 'evalsha' && args.includes('w1')) {
        advances.push(args.includes('claims') ? 'claim' : args.includes('finished') ? 'hand in' : 'other');
      }
    });
    const before = await calls();
    await redis.client.hset('rq:job:1', { status: 'queued', origin: 'a', data: '["f",null,[],{}]' });
    await put('a', '1');
    await expect.poll(() => redis.client.hget('rq:job:1', 'status'), soon).toBe('finished');
    await expect.poll(reads, soon).toBe(1);
    monitor.disconnect();
    expect((await calls()) - before).toBe(1);
    const own = advances.filter(kind => kind !== 'other');
    // the claim of the read that is under way again is not seen yet, or is
    expect(own.slice(0, 2)).toEqual(['claim', 'hand in']);
    expect(own.length).toBeLessThanOrEqual(3);
  });
});
