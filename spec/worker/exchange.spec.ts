import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Link } from '../../lib/connection.ts';
import type { Run } from '../../lib/run.ts';
import { Exchange, type ExchangeHooks } from '../../lib/worker/exchange.ts';
import { useRedis, useWorkerStore } from '../support/in-process.ts';
import { Proxy } from '../support/proxy.ts';

const redis = useRedis();
const store = useWorkerStore('a');

const nothing = (): void => {};

describe('Exchange.sendBack', () => {
  it('waits for runs that are on their way back already', async () => {
    const proxy = await Proxy.to(redis.port);
    const link = Link.own(proxy.url, { persistent: true });
    await link.ready();
    const returned: string[] = [];
    const hooks: ExchangeHooks = {
      ended: nothing,
      retried: nothing,
      lost: nothing,
      returned: run => returned.push(run.jobId),
      failed: nothing,
      running: () => [],
      still: () => Promise.resolve(),
      registered: () => true,
      ready: nothing,
      mended: nothing,
    };
    const exchange = new Exchange(store, link, 'default', hooks);
    await redis.client.hset('rq:job:1', { status: 'queued', origin: 'a', data: '["f",null,[],{}]' });
    await redis.client.rpush('rq:queue:a', '1');
    const { jobs } = await store.advance(redis.client, {
      handIns: [],
      want: 1,
      claims: new Set(),
      strategy: 'default',
    });
    const release = proxy.hold('give_back');
    exchange.giveBack(jobs as unknown as readonly Run[]);
    // sends what was noted
    expect(exchange.prepare()).toBe(true);
    let over = false;
    const back = exchange.sendBack().then(() => (over = true));
    await sleep(50);
    expect(over).toBe(false);
    release();
    await back;
    expect(returned).toEqual(['1']);
    expect(await redis.client.lrange('rq:queue:a', 0, -1)).toEqual(['1']);
    link.close();
    await proxy.close();
  });
});
