import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { putBadJob } from '../support/garbage.ts';
import { putBack, replace, TYPES } from '../support/wrong-type.ts';

const REGISTRIES = ['wip', 'finished', 'failed', 'canceled', 'deferred', 'scheduled'];

/** Where an id is, and what its hash says; `dropped` where it is in no place. */
async function found(c: FaultCase, id: Buffer): Promise<string[]> {
  const { client } = c.redis;
  const places: string[] = [];
  if ((await client.lpos('rq:queue:default', id)) !== null) places.push('queue');
  for (const place of REGISTRIES)
    if ((await client.zscore(`rq:${place}:default`, id)) !== null) places.push(place);
  return places;
}

/** The type that a key is to hold. */
function typeOf(key: string): string {
  if (/^rq:worker:[^:]+$/.test(key)) return 'hash';
  if (/claims:|^rq:queue:/.test(key)) return 'list';
  if (/claimants|workers/.test(key)) return 'set';
  return /janitor|lock/.test(key) ? 'string' : 'zset';
}

/** Takes away what a bad job left: nobody accounts for it. */
async function forget(c: FaultCase, id: Buffer): Promise<void> {
  const { client } = c.redis;
  await client.del(
    Buffer.concat([Buffer.from('rq:job:'), id]),
    Buffer.concat([Buffer.from('rq:results:'), id]),
  );
  for (const place of REGISTRIES) await client.zrem(`rq:${place}:default`, id);
}

describe('jobs of which anything may be garbage', () => {
  faultCase('fail alone or are dropped, and said, while good ones run', { timeout: 300_000 }, async c => {
    const rounds = ALL ? 300 : 20;
    const workers = [0, 1].map(() => c.worker('--concurrency', '5'));
    const bad: Buffer[] = [];
    const used = new Set<string>();
    let good = 0;
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < 10; n++) bad.push(await putBadJob(c, 'default', used));
      good += (await c.enqueue(10)).length;
    }
    await c.ended(good);
    const busy = async (): Promise<number> =>
      (await c.redis.client.llen('rq:queue:default')) + (await c.redis.client.zcard('rq:wip:default'));
    await expect.poll(busy, { timeout: 60_000, interval: 50 }).toBe(0);
    expect(c.workers).toEqual(workers);
    const said = (): string => workers.map(({ all }) => all).join('');
    const silent: string[] = [];
    const ends: Record<string, number> = {};
    for (const id of bad) {
      const places = await found(c, id);
      const end = places.length === 0 ? 'dropped' : places.join(' and ');
      ends[end] = (ends[end] ?? 0) + 1;
      expect(places.length, `${id.toString('latin1')} is in ${end}`).toBeLessThanOrEqual(1);
      // one that is gone was not to be kept: its result_ttl or failure_ttl said so
      const kept = await c.redis.client.exists(Buffer.concat([Buffer.from('rq:job:'), id]));
      if (id.toString().startsWith('bad-') && places.length === 0 && kept === 1) silent.push(id.toString());
    }
    // what a worker says comes after what it did
    const unsaid = (): string[] => silent.filter(id => !said().includes(id));
    await expect.poll(unsaid, { timeout: 20_000 }).toEqual([]);
    expect(/.*user_script.*/.exec(said())?.[0], 'a script that ended half-way').toBeUndefined();
    c.note = JSON.stringify(ends);
    expect(ends['failed']).toBeGreaterThan(0);
    expect(ends['dropped']).toBeGreaterThan(0);
    for (const id of bad) await forget(c, id);
  });
});

describe('keys that hold another type for a while', () => {
  const queues = ['default', 'good'];
  faultCase(
    'stop no worker, cost no job, and hold up no other queue',
    { queues, timeout: 600_000 },
    async c => {
      const strikes = ALL ? 200 : 14;
      const workers = [0, 1].map(n => c.worker('good', '--concurrency', '5', '--name', `w${n}`));
      const good = c.closing(new Queue('good', { connection: c.url('rq-producer') }));
      await expect
        .poll(() => c.redis.client.exists('rq:worker:w0', 'rq:worker:w1'), { timeout: 20_000 })
        .toBe(2);
      const keys = [
        ...['queue', ...REGISTRIES, 'claimants', 'workers', 'janitor', 'scheduler-lock'].map(
          key => `rq:${key}:default`,
        ),
        'rq:worker:w0',
        'rq:worker:w0:claims:default',
        'rq:workers',
        'rq:queue:default:intermediate',
      ];
      let ended = 0;
      for (let strike = 0; strike < strikes; strike++) {
        const key = c.pick(keys);
        await c.enqueue(20, { ms: c.between(0, 20) });
        const another = c.pick(TYPES.filter(type => type !== typeOf(key)));
        await replace(c.redis.client, key, another);
        c.ledger.struck();

        const under = c.enqueue(10, { ms: 5 });
        const others = await c.enqueue(10, { queue: good });
        ended += others.length;
        await expect
          .poll(() => others.filter(id => !c.ledger.counts('end').has(id)), {
            timeout: 20_000,
            interval: 20,
            message: `while ${key} is a ${another}`,
          })
          .toEqual([]);
        await under;
        await sleep(c.between(0, 300));

        await putBack(c.redis.client, key);
      }
      expect(c.workers).toEqual(workers);
      expect(ended).toBe(strikes * 10);
      c.note = `${strikes} strikes`;
    },
  );
});
