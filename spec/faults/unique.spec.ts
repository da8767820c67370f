import { describe, expect } from 'vitest';
import { unrest } from '../support/account.ts';
import { ALL, faultCase } from '../support/fault-case.ts';
import { ProducerProcess } from '../support/producer-process.ts';

const unique = { unique: { on: 'args' } } as const;

describe('one unique call', () => {
  faultCase('made by eight processes at once is one job, again and again', { timeout: 300_000 }, async c => {
    const producers = Array.from({ length: 8 }, () =>
      c.closing(new ProducerProcess(c.url('rq-producer'), c.ledger.file)),
    );
    await Promise.all(producers.map(({ ready }) => ready));
    const worker = c.worker();
    let made = 0;
    // a worker looks once a second whether work goes on
    for (let round = 0; round < (ALL ? 200 : 20); round++) {
      await c.redis.client.set('rq:suspended', '1');
      await expect.poll(() => unrest(c.redis.client, ['default']), { interval: 5 }).toEqual({});
      const ids = producers.map(() => `call-${made++}`);
      const said = await Promise.all(producers.map((producer, i) => producer.call('unique', ids[i] ?? '')));
      expect(said.toSorted()).toEqual([...Array.from({ length: 7 }, () => 'RQ_DUPLICATE_JOB'), 'ok']);
      const accepted = ids[said.indexOf('ok')] ?? '';
      c.ledger.told(accepted, 'acknowledged');
      expect(await c.redis.client.exists(...ids.map(id => `rq:job:${id}`))).toBe(1);
      await c.redis.client.del('rq:suspended');
      await c.ended(round + 1);
    }
    await worker.end('SIGTERM');
  });

  faultCase('stays its job’s while that is lost to a worker that dies, until it has run', {}, async c => {
    const args = [c.ledger.file, 'sleep', 60_000];
    const first = c.worker();
    const job = await c.q.enqueue('firstRun', args, { ...unique, resultTtl: -1 });
    c.ledger.told(job.id, 'acknowledged');
    await expect.poll(() => c.ledger.counts('start').size, { timeout: 20_000 }).toBe(1);
    await c.kill(first);
    const again = () => c.q.enqueue('firstRun', args, { ...unique, resultTtl: -1 });
    await expect(again()).rejects.toMatchObject({ jobId: job.id, status: 'started' });
    const second = c.worker();
    await expect.poll(() => job.getStatus(), { timeout: 30_000 }).toBe('finished');
    await second.end('SIGTERM');
    const next = await again();
    await next.cancel();
    c.ledger.told(next.id, 'acknowledged');
    expect(await c.redis.client.hget(`rq:job:${job.id}`, 'recoveries')).toBe('1');
  });
});
