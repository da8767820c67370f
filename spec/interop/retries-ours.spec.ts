import { describe, expect, it } from 'vitest';
import { RUNNERS, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('A retry plan of ours, beside Python RQ %s', version => {
  const { redis, python, q, workAs } = useBoth(version);

  describe.each(RUNNERS)('is carried out by a %s worker', runner => {
    it('at once, until no retry is left', async () => {
      const job = await q.enqueue('tasks.fail', [], { retry: { max: 2 } });
      await workAs(runner);
      expect(await redis.client.hget(`rq:job:${job.id}`, 'retries_left')).toBe('0');
      await expect(job.result).rejects.toThrow('on purpose');
      expect(await q.failedRegistry.getJobIds()).toEqual([job.id]);
    });

    it('at its times, the first wait first', async () => {
      const job = await q.enqueue('tasks.fail', [], { retry: { max: 3, interval: [1000, 2000] } });
      await workAs(runner);
      expect(await job.getStatus()).toBe('scheduled');
      const due = Number(await redis.client.zscore('rq:scheduled:default', job.id)) - Date.now() / 1000;
      expect(Math.abs(due - 1000)).toBeLessThan(10);
      expect(await redis.client.hget(`rq:job:${job.id}`, 'retries_left')).toBe('2');
    });
  });

  it('is read by Python', async () => {
    const { id } = await q.enqueue('tasks.fail', [], { retry: { max: 3, interval: [1, 20, '5m'] } });
    const read = await python.run(
      'j = job(id); out = [j.retries_left, j.retry_intervals, j.get_retry_interval()]',
      { id },
    );
    expect(read).toEqual([3, [1, 20, 300], 1]);
  });
});
