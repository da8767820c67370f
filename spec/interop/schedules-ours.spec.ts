/** Our scheduled jobs and repeats, beside Python RQ and its scheduler; and Python's repeats here. */
import { describe, expect, it } from 'vitest';
import { RUNNERS, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('Jobs of ours that wait for their time, beside Python RQ %s', version => {
  const { redis, python, q, work, workAs, worker, ids } = useBoth(version);

  const field = (id: string, name: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, name);
  const status = (id: string): Promise<string | null> => field(id, 'status');
  const scheduler = (code: string): Promise<unknown> =>
    python.run(`
scheduler = RQScheduler(["default"], c, interval=1, serializer=JSONSerializer)
scheduler.acquire_locks()
${code}
scheduler.release_locks()`);

  it('are listed by Python, with their times', async () => {
    const date = new Date(2_000_000_000_123);
    const job = await q.enqueueAt(date, 'tasks.add', [1, 2]);
    const seen = await python.run(
      'r = queue().scheduled_job_registry; out = [r.get_job_ids(), r.get_scheduled_time(id).isoformat(), job(id).get_status(), job(id).args]',
      { id: job.id },
    );
    expect(seen).toEqual([[job.id], expect.stringMatching(/^2033-05-18T03:33:20/), 'scheduled', [1, 2]]);
  });

  it('are queued by Python’s scheduler once they are due, and run on either side', async () => {
    const [due, later] = [
      await q.enqueueAt(new Date(0), 'tasks.add', [1, 2]),
      await q.enqueueIn('1h', 'tasks.add', [1, 2]),
    ];
    await scheduler('scheduler.enqueue_scheduled_jobs()');
    expect(await q.getJobIds()).toEqual([due.id]);
    expect([await status(due.id), await status(later.id)]).toEqual(['queued', 'scheduled']);
    await work();
    expect(await due.result).toBe(3);
    await q.scheduledRegistry.schedule(later.id, new Date(1000));
    await scheduler('scheduler.enqueue_scheduled_jobs()');
    await workAs('Python');
    expect(await later.result).toBe(3);
    expect(await ids('rq:scheduled:default')).toEqual([]);
  });

  it('are left to a Python scheduler as long as it holds the queue', async () => {
    await python.run(
      'held = RQScheduler(["default"], c, interval=1, serializer=JSONSerializer); held.acquire_locks()',
    );
    const job = await q.enqueueAt(new Date(0), 'tasks.add', [1, 2]);
    void worker({}, {}, ['default', 'marks']).work();
    // the last of the worker's queues is looked at after it
    const mark = await python.run<string>(
      'out = queue("marks").enqueue_in(timedelta(seconds=-1), "tasks.add", 1, 2).id',
    );
    await expect.poll(() => status(mark), { timeout: 10_000 }).toBe('finished');
    expect(await status(job.id)).toBe('scheduled');
    await python.run('held.release_locks()');
    expect(await job.wait({ timeout: 15 })).toBe(3);
  });

  it('run once each, where both sides queue what is due', async () => {
    const runs: number[] = [];
    void worker({ note: (n: number) => runs.push(n) }, { concurrency: 10 }).work();
    const all = 100;
    for (let n = 0; n < all; n += 10) {
      await Promise.all(
        Array.from({ length: 10 }, (_, i) => q.enqueueAt(new Date(Date.now() - 1_000), 'note', [n + i])),
      );
      await scheduler('scheduler.enqueue_scheduled_jobs()');
    }
    await expect.poll(() => runs.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(all);
    await expect.poll(() => ids('rq:wip:default')).toEqual([]);
    expect(runs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: all }, (_, n) => n));
    expect(await q.count()).toBe(0);
  });

  it('are canceled by Python for good', async () => {
    const job = await q.enqueueIn('1h', 'tasks.add', [1, 2]);
    await python.run('job(id).cancel()', { id: job.id });
    expect(await status(job.id)).toBe('canceled');
    expect(await q.scheduledRegistry.getJobIds()).toEqual([]);
    await expect(job.result).rejects.toMatchObject({ code: 'RQ_JOB_CANCELED' });
  });

  describe.each(RUNNERS)('and repeat, on a %s worker', runner => {
    /** Runs a job as long as it repeats; answers the seconds that it waited each time. */
    async function waits(id: string): Promise<number[]> {
      const seen: number[] = [];
      for (;;) {
        const before = Date.now() / 1000;
        await workAs(runner, { maxJobs: 1 });
        if ((await status(id)) === 'finished') return seen;
        if ((await status(id)) === 'queued') {
          seen.push(0);
          continue;
        }
        const due = Number(await redis.client.zscore('rq:scheduled:default', id));
        seen.push(Math.round((due - before) / 100) * 100);
        await redis.client.zadd('rq:scheduled:default', 1, id);
        await scheduler('scheduler.enqueue_scheduled_jobs()');
      }
    }

    it.each<[string, number, number | number[], number[]]>([
      ['one wait', 2, 300, [300, 300]],
      ['no wait', 2, 0, [0, 0]],
      ['a list', 3, [100, 200, 300], [100, 200, 300]],
      ['a list that is shorter', 4, [100, 200], [100, 200, 200, 200]],
      ['a list with none among them', 3, [100, 0, 300], [100, 0, 300]],
    ])('with %s, in the order that was asked for', async (_, times, interval, expected) => {
      const job = await q.enqueue('tasks.add', [1, 2], { repeat: { times, interval } });
      expect(await waits(job.id)).toEqual(expected);
      expect(await job.result).toBe(3);
      expect(await field(job.id, 'repeats_left')).toBe('0');
    });

    it('as Python asked for, in the order of Python', async () => {
      const id = await python.run<string>(
        'out = queue().enqueue("tasks.add", 1, 2, repeat=Repeat(times=3, interval=[100, 200])).id',
      );
      // from the list's end, its last one as long as it is too short
      expect(await waits(id)).toEqual([200, 200, 100]);
      expect(await python.run('out = job(id).return_value()', { id })).toBe(3);
    });

    it('releases what waits for them after the first run', async () => {
      const job = await q.enqueue('tasks.add', [1, 2], { repeat: { times: 1, interval: 500 } });
      const last = await q.enqueue('tasks.add', [5, 5], { dependsOn: job });
      await workAs(runner, { maxJobs: 1 });
      expect(await status(job.id)).toBe('scheduled');
      expect(await status(last.id)).toBe('queued');
    });

    it('not after a failure', async () => {
      const job = await q.enqueue('tasks.fail', [], { repeat: { times: 2, interval: 500 } });
      await workAs(runner);
      expect(await status(job.id)).toBe('failed');
      expect(await field(job.id, 'repeats_left')).toBe('2');
    });
  });
});
