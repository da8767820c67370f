import { describe, expect, it } from 'vitest';
import { useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('Jobs that Python RQ %s scheduled', version => {
  const { redis, python, q, worker, ids } = useBoth(version);

  const enqueueIn = (seconds: number, call = '"tasks.add", 1, 2', name = 'default'): Promise<string> =>
    python.run<string>(`out = queue("${name}").enqueue_in(timedelta(seconds=${seconds}), ${call}).id`);
  const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');
  /** Starts a worker of the queues that goes on until the test ends. */
  const live = (queues: readonly string[] = ['default']): void => {
    void worker({}, {}, queues).work();
  };
  /** Resolves once the worker has looked anew at what is due on its queues, of which `marks` is the last. */
  const looked = async (): Promise<void> => {
    const id = await enqueueIn(-1, '"tasks.add", 1, 2', 'marks');
    await expect.poll(() => status(id), { timeout: 10_000 }).toBe('finished');
  };

  it('run here within about a second of their time, and not before it', async () => {
    live();
    const id = await enqueueIn(4);
    const due = Number(await redis.client.zscore('rq:scheduled:default', id));
    expect(await status(id)).toBe('scheduled');
    await expect.poll(() => status(id), { timeout: 15_000, interval: 50 }).toBe('finished');
    const at = Number((await q.fetchJob(id))?.startedAt) / 1000;
    expect(at).toBeGreaterThanOrEqual(due);
    expect(at).toBeLessThan(due + 2.5);
    expect(await python.run('out = job(id).return_value()', { id })).toBe(3);
    expect(await ids('rq:scheduled:default')).toEqual([]);
  });

  it('run at once where their time is over, by enqueue_at as by enqueue_in', async () => {
    const id = await python.run<string>(
      'out = queue().enqueue_at(datetime(2020, 1, 1, tzinfo=timezone.utc), "tasks.add", 1, 2).id',
    );
    live();
    await expect.poll(() => status(id), { timeout: 10_000 }).toBe('finished');
  });

  it('stay where they are until their time', async () => {
    const id = await enqueueIn(3600);
    live(['default', 'marks']);
    await looked();
    expect(await status(id)).toBe('scheduled');
    expect(await ids('rq:scheduled:default')).toEqual([id]);
    expect(await q.scheduledRegistry.getJobIds()).toEqual([id]);
  });

  it('are queued with all that Python’s scheduler gives them', async () => {
    const [first, second] = [
      await enqueueIn(-1, '"unknown", ttl=600'),
      await enqueueIn(-1, '"unknown", ttl=600'),
    ];
    await redis.client.persist(`rq:job:${first}`);
    // held, so that nobody takes what is queued
    await python.run('suspend(c)');
    live();
    await expect.poll(() => q.getJobIds(), { timeout: 10_000 }).toEqual([first, second].toSorted());
    const enqueued =
      'out = [(datetime.now(timezone.utc) - job(id).enqueued_at).total_seconds() < 60, job(id).timeout]';
    expect(await python.run(enqueued, { id: first })).toEqual([true, 180]);
    expect(await status(first)).toBe('queued');
    expect(await redis.client.ttl(`rq:job:${first}`)).toBeGreaterThan(590);
    expect(await redis.client.sismember('rq:queues', 'rq:queue:default')).toBe(1);
  });

  it('come first where they were to be put at the front', async () => {
    await python.run('suspend(c)');
    const waiting = await python.run<string>('out = queue().enqueue("tasks.add", 1, 2).id');
    const first = await enqueueIn(-1, '"tasks.add", 1, 2, at_front=True');
    live();
    await expect.poll(() => q.getJobIds(), { timeout: 10_000 }).toEqual([first, waiting]);
  });

  it('do not come back to life where they were canceled or deleted', async () => {
    const canceled = await enqueueIn(-1);
    const gone = await enqueueIn(-1);
    await python.run('job(canceled).cancel(); job(gone).delete()', { canceled, gone });
    // what a crash may have left behind
    await redis.client.zadd('rq:scheduled:default', 1, canceled, 1, gone);
    live(['default', 'marks']);
    await looked();
    expect(await ids('rq:scheduled:default')).toEqual([]);
    expect(await status(canceled)).toBe('canceled');
    expect(await redis.client.exists(`rq:job:${gone}`)).toBe(0);
    expect(await q.getJobIds()).toEqual([]);
  });

  it('are canceled and deleted here as any other', async () => {
    const [a, b] = [await enqueueIn(3600), await enqueueIn(3600)];
    await (await q.fetchJob(a))?.cancel();
    await (await q.fetchJob(b))?.delete();
    expect(await python.run('out = queue().scheduled_job_registry.get_job_ids()')).toEqual([]);
    expect(await python.run('out = [job(a).is_canceled, Job.exists(b, connection=c)]', { a, b })).toEqual([
      true,
      false,
    ]);
  });
});
