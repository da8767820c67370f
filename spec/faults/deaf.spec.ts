import { afterEach, describe, expect, it } from 'vitest';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { Waits } from '../../lib/worker/waits.ts';
import { useLink, useQueue, useRedis, useWorkers } from '../support/in-process.ts';
import { freePort } from '../support/redis.ts';

const redis = useRedis();
const link = useLink(redis, { persistent: true });
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const soon = { timeout: 8000, interval: 10 };

/** The clients at Redis that wait in a blocking read. */
async function readers(): Promise<string[]> {
  const lines = String(await redis.client.client('LIST')).split('\n');
  const blocked = lines.filter(line => / flags=\S*b/.test(line) && line.includes('cmd=blmove'));
  return blocked.map(line => /^id=(\d+)/.exec(line)?.[1] ?? '');
}
const reads = async (): Promise<number> => (await readers()).length;

describe('an idle worker', () => {
  async function idle(): Promise<string[]> {
    const runs: string[] = [];
    void makeWorker({ note: (what: string) => runs.push(what) }, { name: 'w1' }).work();
    await expect.poll(reads, soon).toBe(1);
    return runs;
  }

  it('runs what comes after its Redis was a replica for a while', async () => {
    const runs = await idle();
    await redis.client.replicaof('127.0.0.1', await freePort());
    await redis.client.replicaof('NO', 'ONE');
    const job = await q.enqueue('note', ['after']);
    await expect.poll(() => job.getStatus(), soon).toBe('finished');
    expect(runs).toEqual(['after']);
    await expect.poll(reads, soon).toBe(1);
  });

  it('runs what comes after somebody ended its read with an error', async () => {
    const runs = await idle();
    const [id = ''] = await readers();
    expect(await redis.client.client('UNBLOCK', id, 'ERROR')).toBe(1);
    const job = await q.enqueue('note', ['after']);
    await expect.poll(() => job.getStatus(), soon).toBe('finished');
    expect(runs).toEqual(['after']);
    await expect.poll(reads, soon).toBe(1);
  });

  it('runs what comes after somebody ended its read as if its time were over', async () => {
    const runs = await idle();
    const [id = ''] = await readers();
    expect(await redis.client.client('UNBLOCK', id, 'TIMEOUT')).toBe(1);
    const job = await q.enqueue('note', ['after']);
    await expect.poll(() => job.getStatus(), soon).toBe('finished');
    expect(runs).toEqual(['after']);
  });

  it('runs within 16 seconds what lies among its claims and nobody told it of', async () => {
    const runs = await idle();
    await redis.client.hset('rq:job:1', {
      status: 'queued',
      origin: 'q',
      data: '["note",null,["forgotten"],{}]',
    });
    await redis.client.rpush('rq:worker:w1:claims:q', '1');
    await expect
      .poll(() => redis.client.hget('rq:job:1', 'status'), { timeout: 16_500, interval: 50 })
      .toBe('finished');
    expect(runs).toEqual(['forgotten']);
    expect(await redis.client.exists('rq:worker:w1:claims:q')).toBe(0);
  });
});

describe('Waits of a worker that may not wait', () => {
  const opened: Waits[] = [];
  afterEach(() => {
    for (const waits of opened.splice(0)) waits.close();
  });

  function makeWaits(mayWait: () => boolean): { waits: Waits; told: number[] } {
    const told: number[] = [];
    // the shortest lease: so its reads are short too
    const store = new WorkerStore(new Keys(), 'w1', ['a', 'b'], { lease: 3 });
    const waits = new Waits(store, link, {
      claim: async () => () => {},
      taken: place => told.push(place),
      lost: () => {},
      mayWait,
      failed: () => {},
    });
    opened.push(waits);
    return { waits, told };
  }
  const blmoves = async (): Promise<number> =>
    Number(/cmdstat_blmove:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);

  it('read nothing, and say that no read is under way', async () => {
    await redis.client.rpush('rq:queue:a', '1');
    await redis.client.config('RESETSTAT');
    const { waits, told } = makeWaits(() => false);
    waits.arm();
    await expect.poll(() => told.toSorted((x, y) => x - y), soon).toEqual([0, 1]);
    await expect.poll(() => waits.armed, soon).toBe(false);
    expect(await blmoves()).toBe(0);
    expect(await redis.client.lrange('rq:queue:a', 0, -1)).toEqual(['1']);
    expect(await redis.client.exists('rq:worker:w1:claims:a')).toBe(0);
  });

  it('end with the read that is under way, and take nothing after it', async () => {
    let may = true;
    const { waits, told } = makeWaits(() => may);
    waits.arm();
    await expect.poll(reads, soon).toBe(2);
    may = false;
    await expect.poll(() => waits.armed, soon).toBe(false);
    expect(told.toSorted((x, y) => x - y)).toEqual([0, 1]);
    expect(await reads()).toBe(0);
    await redis.client.rpush('rq:queue:a', '1');
    expect(await redis.client.lrange('rq:queue:a', 0, -1)).toEqual(['1']);
  });

  it('read again once they may', async () => {
    let may = false;
    const { waits, told } = makeWaits(() => may);
    waits.arm();
    await expect.poll(() => told.length, soon).toBe(2);
    may = true;
    await expect
      .poll(() => {
        waits.arm();
        return reads();
      }, soon)
      .toBe(2);
    await redis.client.rpush('rq:queue:b', '1');
    await expect.poll(() => redis.client.lrange('rq:worker:w1:claims:b', 0, -1), soon).toEqual(['1']);
  });
});
