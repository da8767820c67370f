import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { Queue, RedisRefusedError } from '../../lib/index.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { under } from '../support/load.ts';
import { Proxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { ACL_ARGS } from '../support/acl.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';

/** A replica is to be there at once. */
const redis = { args: ['--repl-diskless-sync-delay', '0'] };

/** A replica of the case's Redis, over a link that can fall silent. */
async function replicate(c: FaultCase): Promise<{ readonly replica: RedisServer; readonly link: Relay }> {
  const link = c.closing(await Relay.to(c.redis.port));
  const replica = await startRedis({ args: [...ACL_ARGS, '--replicaof', '127.0.0.1', String(link.port)] });
  c.atEnd(() => replica.stop());
  await expect
    .poll(() => replica.client.info('replication'), { timeout: 20_000, interval: 50 })
    .toContain('master_link_status:up');
  return { replica, link };
}

describe('a replica', () => {
  faultCase(
    'that is promoted in mid-load has all that it had confirmed',
    { redis, redisLoses: true, timeout: 300_000 },
    async c => {
      const master = c.redis;
      const { replica, link } = await replicate(c);
      const clients = c.closing(await Proxy.to(master.port));
      c.workerAt(clients.url, '--concurrency', '5');
      c.workerAt(clients.url, '--concurrency', '5');
      const queue = c.closing(new Queue('default', { connection: clients.url }));
      let confirmed: string[] = [];
      const known = (): string[] =>
        [...c.ledger.read().entries].filter(([, { told }]) => told === 'acknowledged').map(([id]) => id);
      const strikes = async (): Promise<void> => {
        await sleep(ALL ? 10_000 : 1000);
        await expect.poll(() => known().length, { timeout: 60_000 }).toBeGreaterThan(20);
        const before = known();
        // what was written before this, over whichever connection, is confirmed with it
        await master.client.set('spec', '1');
        expect(await master.client.wait(1, 10_000)).toBe(1);
        confirmed = before;
        // from here on the replica hears nothing
        link.stop();
        const heard = known().length;
        await sleep(ALL ? 2000 : 300);
        // more than were under way
        await expect.poll(() => known().length, { timeout: 60_000 }).toBeGreaterThan(heard + 20);
        c.ledger.struck();
        clients.leadTo(replica.port);
        await replica.client.replicaof('NO', 'ONE');
        await replica.client.del('spec');
        await sleep(ALL ? 10_000 : 500);
      };
      await under(c, { queue, ms: 20 }, strikes());
      c.atEnd(() => master.stop());
      c.redis = replica;
      expect(confirmed.length, 'jobs confirmed').toBeGreaterThan(20);
      const missing = async (ids: readonly string[]): Promise<string[]> => {
        const there = await Promise.all(ids.map(id => replica.client.exists(`rq:job:${id}`)));
        return ids.filter((_, i) => there[i] === 0);
      };
      expect(await missing(confirmed), 'confirmed, and not there').toEqual([]);
      const lost = (await missing(known())).length;
      expect(lost, 'acknowledged while the replica heard nothing').toBeGreaterThan(0);
      c.note = `${confirmed.length} confirmed, ${lost} after that lost`;
    },
  );

  faultCase(
    'that is cut off while min-replicas-to-write asks for it: nothing is acknowledged, and nothing lost',
    { redis, timeout: 300_000 },
    async c => {
      const { link } = await replicate(c);
      c.worker('--concurrency', '5');
      c.worker('--concurrency', '5');
      await c.enqueue(20);
      await c.ended(20);
      await c.redis.client.config('SET', 'min-replicas-to-write', '1');
      await c.redis.client.config('SET', 'min-replicas-max-lag', '1');
      let during: readonly unknown[] = [];
      const strikes = async (): Promise<void> => {
        await sleep(300);
        c.ledger.struck();
        link.stop();
        await expect
          .poll(() => c.redis.client.info('replication'), { timeout: 20_000, interval: 20 })
          .toContain('min_slaves_good_slaves:0');
        const ends = performance.now() + (ALL ? 15_000 : 1000);
        const gave: unknown[] = [];
        for (let n = 0; performance.now() < ends || n <= 10; n++) {
          const call = c.q.enqueue('ledger', [c.ledger.file, null, 0], { jobId: `refused-${n}` });
          gave.push(await call.catch((error: unknown) => error));
          c.ledger.told(`refused-${n}`, 'unsent');
          await sleep(20);
        }
        during = gave;
        link.goOn();
        // on a busy machine it says a second late, now and then, that it is there
        await c.redis.client.config('SET', 'min-replicas-max-lag', '10');
        await expect
          .poll(() => c.redis.client.info('replication'), { timeout: 20_000, interval: 20 })
          .toContain('min_slaves_good_slaves:1');
      };
      await under(c, { ms: 20 }, strikes());
      expect(during.length).toBeGreaterThan(10);
      for (const gave of during) {
        expect(gave).toBeInstanceOf(RedisRefusedError);
        expect(String(gave)).toContain('NOREPLICAS');
      }
      expect(await c.enqueue(20), 'after it is back').toHaveLength(20);
      c.note = `${during.length} calls refused`;
    },
  );
});
