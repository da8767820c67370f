import { describe, expect, it } from 'vitest';
import { Keys } from '../lib/keys.ts';

describe('Keys', () => {
  it('builds RQ’s names', () => {
    const keys = new Keys();
    const queue = keys.queue('high');
    expect(keys.queues).toBe('rq:queues');
    expect(keys.suspended).toBe('rq:suspended');
    expect(keys.workers).toBe('rq:workers');
    expect(queue.list).toBe('rq:queue:high');
    expect(queue.started).toBe('rq:wip:high');
    expect(queue.workers).toBe('rq:workers:high');
    expect(keys.job('1')).toBe('rq:job:1');
    expect(keys.dependents('1')).toBe('rq:job:1:dependents');
    expect(keys.dependencies('1')).toBe('rq:job::1:dependencies');
    expect(keys.results('1')).toBe('rq:results:1');
    expect(keys.commandChannel('w')).toBe('rq:pubsub:w');
    expect(keys.statusChannel('high', '1')).toBe('rq:status:high:1');
    expect(keys.claims('w', 'high')).toBe('rq:worker:w:claims:high');
    expect(keys.claims('w', 'high')).toBe(keys.workerPrefix + 'w' + keys.claimsSuffix('high'));
  });

  it('puts another prefix before each of them', () => {
    const keys = new Keys('other');
    const all = [
      ...Object.values(keys.queue('q')).slice(1),
      keys.job('1'),
      keys.queues,
      keys.statusChannel('q', '1'),
    ];
    for (const key of all) expect(key).toMatch(/^other:/);
  });
});
