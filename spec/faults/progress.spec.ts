import { describe, expect } from 'vitest';
import { faultCase } from '../support/fault-case.ts';

describe('the progress of a job whose worker dies', () => {
  faultCase('is that of the run that ends it', {}, async c => {
    const first = c.worker();
    const job = await c.q.enqueue('halfway', [c.ledger.file], { resultTtl: -1 });
    c.ledger.told(job.id, 'acknowledged');
    const seen = async () => (await job.refresh()).progress()?.value;
    await expect.poll(seen, { timeout: 20_000 }).toBe(0.5);
    await c.kill(first);
    expect(await seen()).toBe(0.5);
    // as nobody runs it, it is queued again, and there has been none
    await c.redis.client.set('rq:suspended', '1');
    const second = c.worker();
    await expect.poll(() => job.getStatus(), { timeout: 30_000 }).toBe('queued');
    expect(await seen()).toBeUndefined();
    await c.redis.client.del('rq:suspended');
    expect(await job.wait({ timeout: 30 })).toBe('done');
    expect(await seen()).toBe(1);
    expect((await second.end('SIGTERM')).code).toBe(0);
  });
});
