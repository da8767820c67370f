import { describe, expect, it } from 'vitest';
import { Rq } from '../../lib/index.ts';
import { loadScripts } from '../support/commands.ts';
import { useRedis } from '../support/in-process.ts';
import { writeJobs } from '../support/jobs.ts';
import { Proxy } from '../support/proxy.ts';

const redis = useRedis();

describe('an operator whose reply is lost', () => {
  const commands = ['clean_ended', 'clean_orphans', 'drop_ids', 'check_rights', 'SCAN', 'ZSCAN', 'INFO'];

  it.each(commands)('to %s: what is to be deleted goes all the same, and nothing else', async name => {
    const { client } = redis;
    await loadScripts(client);
    await writeJobs(client, ['ended'], { status: 'failed', age: 3600 });
    await writeJobs(client, ['orphan'], { age: 3600, place: 'nowhere' });
    await writeJobs(client, ['waits'], { age: 3600 });
    await client.rpush('rq:queue:default', 'gone');
    const proxy = await Proxy.to(redis.port);
    try {
      await using rq = new Rq({ connection: proxy.url });
      const lost = proxy.lose(name);
      await rq.doctor();
      await rq.clean({ olderThan: 60, grace: '1ms' });
      expect(await lost).toBe(name);
    } finally {
      await proxy.close();
    }
    const left = (await client.keys('*')).toSorted();
    expect(left).toEqual(['rq:job:waits', 'rq:queue:default', 'rq:queues']);
    expect(await client.lrange('rq:queue:default', 0, -1)).toEqual(['waits']);
  });
});
