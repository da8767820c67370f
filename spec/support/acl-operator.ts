/** What the rq command asks of Redis, step by step. */
import { expect } from 'vitest';
import { Rq } from '../../lib/index.ts';
import { takeAll, type Steps } from './acl-steps.ts';

/** What an operator asks besides: `rq info --memory`, `rq clean` and `rq doctor`. */
export const operatorSteps: Steps = async walk => {
  const { url, look } = walk;
  await look.script('FLUSH');
  await using rq = new Rq({ connection: url });
  const orphan = { status: 'queued', origin: 'q', created_at: '2020-01-01T00:00:00Z', dependency_id: 'a' };
  const errors = await takeAll(walk, [
    async () => {
      await look.rpush('rq:queue:q', ...Array.from({ length: 3 }, (_, i) => `j${i}`));
      await look.zadd('rq:failed:q', ...Array.from({ length: 3 }, (_, i) => [i, `f${i}`]).flat());
      await look.sadd('rq:queues', 'rq:queue:q');
      const { sampled, bytes } = await rq.memory({ samples: 2 });
      expect(sampled).toBe(4);
      expect(bytes).toBeGreaterThan(0);
    },
    async () => {
      await look.sadd('rq:queues', 'rq:queue:q');
      await look.sadd('rq:claimants:q', 'w');
      await look.hset('rq:job:orphan', orphan);
      await look.sadd('rq:job:orphan:dependents', 'b');
      await look.hset('rq:job:ended', { ...orphan, status: 'failed', group_id: 'g' });
      await look.zadd('rq:failed:q', 1, 'ended', 1, 'gone');
      await look.rpush('rq:queue:q', 'gone');
      await look.zadd('rq:wip:q', 1, 'gone:n1');
      const report = await rq.clean({ olderThan: 60, grace: '1ms' });
      expect(report).toMatchObject({ ended: [{ count: 1 }], orphans: [{ id: 'orphan' }] });
      expect(report.strayIds).toHaveLength(3);
    },
    async () => {
      await look.sadd('rq:queues', 'rq:queue:q');
      await look.hset('rq:job:odd', { status: 'odd', data: '[]' });
      const found = await rq.doctor({ role: 'operator', promise: 'always' });
      expect(found.map(({ about }) => about)).toContain('jobs');
      expect(found.map(({ what }) => what).join()).not.toMatch(/not looked at|CONFIG GET is refused/);
    },
    async () => {
      await look.sadd('rq:queues', 'rq:queue:q');
      expect((await rq.overview()).queues).toHaveLength(1);
    },
    async () => {
      await rq.queue('q').cron('@daily', 'f');
      expect(await rq.crons()).toHaveLength(1);
    },
  ]);
  return errors;
};
