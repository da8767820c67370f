import { describe, expect } from 'vitest';
import { Rq } from '../../lib/index.ts';
import { loadScripts } from '../support/commands.ts';
import { faultCase } from '../support/fault-case.ts';
import { writeJobs } from '../support/jobs.ts';
import { Proxy } from '../support/proxy.ts';

describe('an operator whose reply is lost', () => {
  faultCase('to each step of a clean: it is done all the same, and touches nothing else', {}, async c => {
    const { client } = c.redis;
    await loadScripts(client);
    const proxy = c.closing(await Proxy.to(c.redis.port));
    for (const name of [
      'clean_ended',
      'clean_orphans',
      'drop_ids',
      'SCAN',
      'ZSCAN',
      'check_rights',
      'INFO',
    ]) {
      await client.flushall();
      await writeJobs(client, ['ended'], { status: 'failed', age: 3600 });
      await writeJobs(client, ['orphan'], { age: 3600, place: 'nowhere' });
      await writeJobs(client, ['waits'], { age: 3600 });
      await client.rpush('rq:queue:default', 'gone');
      const rq = new Rq({ connection: proxy.url });
      void proxy.lose(name);
      await rq.doctor();
      await rq.clean({ olderThan: 60, grace: '1ms' });
      await rq.close();
      proxy.spare();
      expect([name, (await client.keys('*')).toSorted()]).toEqual([
        name,
        ['rq:job:waits', 'rq:queue:default', 'rq:queues'],
      ]);
      expect(await client.lrange('rq:queue:default', 0, -1)).toEqual(['waits']);
    }
    // none of these jobs is of the ledger
    await client.flushall();
  });
});
