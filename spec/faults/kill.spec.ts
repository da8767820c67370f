import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from 'vitest';
import { ALL, faultCase } from '../support/fault-case.ts';

describe('workers killed with SIGKILL', () => {
  faultCase('at random, four at work', { timeout: 300_000 }, async c => {
    const [jobs, kills] = ALL ? [10_000, 30] : [800, 5];
    const start = () => c.worker('--concurrency', '5');
    for (let n = 0; n < 4; n++) start();
    const enqueued = c.enqueue(jobs, { ms: 10 });
    for (let kill = 0; kill < kills; kill++) {
      await c.ended(Math.floor((jobs * (kill + 1)) / (kills + 2)));
      await sleep(c.random() * 30);
      await c.kill(c.pick(c.workers));
      start();
    }
    await enqueued;
  });

  faultCase('between a blocking read and the claim of what it took', {}, async c => {
    const [id = ''] = await c.enqueue(1);
    c.ledger.struck();
    await c.redis.client.lmove('rq:queue:default', 'rq:worker:dead:claims:default', 'LEFT', 'RIGHT');
    await c.redis.client.sadd('rq:claimants:default', 'dead');
    c.note = id;
  });
});
