import { describe, expect, it } from 'vitest';
import { useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('Jobs that Python RQ %s scheduled, and its scheduler,', version => {
  const { redis, python, q, work, worker, ids } = useBoth(version);

  const enqueueIn = (seconds: number, call = '"tasks.add", 1, 2', name = 'default'): Promise<string> =>
    python.run<string>(`out = queue("${name}").enqueue_in(timedelta(seconds=${seconds}), ${call}).id`);
  const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');
  const scheduler = (code: string): Promise<unknown> => python.run(`scheduler.${code}`);
  const newScheduler = (): Promise<unknown> =>
    python.run('scheduler = RQScheduler(["default"], c, interval=1, serializer=JSONSerializer)');
  /** Starts a worker of the queues that goes on until the test ends. */
  const live = (functions = {}, queues: readonly string[] = ['default'], concurrency = 1): void => {
    void worker(functions, { concurrency }, queues).work();
  };
  /** Resolves once the worker has looked anew at what is due on its queues, of which `marks` is the last. */
  const looked = async (): Promise<void> => {
    const id = await enqueueIn(-1, '"tasks.add", 1, 2', 'marks');
    await expect.poll(() => status(id), { timeout: 10_000 }).toBe('finished');
  };

  it('are left to a Python scheduler that holds the queue, until it lets go of it', async () => {
    await newScheduler();
    await scheduler('acquire_locks()');
    expect(await redis.client.exists('rq:scheduler-lock:default')).toBe(1);
    const id = await enqueueIn(-1);
    live({}, ['default', 'marks']);
    await looked();
    expect(await status(id)).toBe('scheduled');
    expect(await ids('rq:scheduled:default')).toEqual([id]);
    await scheduler('release_locks()');
    await expect.poll(() => status(id), { timeout: 10_000 }).toBe('finished');
  });

  it('are queued by a Python scheduler, and run here', async () => {
    await newScheduler();
    await scheduler('acquire_locks()');
    const id = await enqueueIn(-1);
    await scheduler('enqueue_scheduled_jobs()');
    expect(await q.getJobIds()).toEqual([id]);
    await work();
    expect(await (await q.fetchJob(id))?.result).toBe(3);
    await scheduler('release_locks()');
  });

  it('run also where the worker looks between the two writes of Python, of which the registry’s is first', async () => {
    const id = await python.run<string>(`
j = queue().create_job("tasks.add", args=[1, 2], status=JobStatus.SCHEDULED)
queue().scheduled_job_registry.schedule(j, datetime.now(timezone.utc) - timedelta(seconds=1))
out = j.id`);
    live({}, ['default', 'marks']);
    await looked();
    await python.run(`
with c.pipeline() as p:
    queue()._persist_job(j, p, status=JobStatus.SCHEDULED)
    p.execute()`);
    await expect.poll(() => status(id), { timeout: 15_000 }).toBe('finished');
  });

  it('run once each where both sides queue what is due', async () => {
    const runs: number[] = [];
    live({ note: (n: number) => runs.push(n) }, ['default'], 10);
    // each round, some are due as Python takes the queue, and some as it has let go of it again
    await python.run(`
import time
for turn in range(12):
    scheduler = RQScheduler(["default"], c, interval=1, serializer=JSONSerializer)
    for n in range(10):
        queue().enqueue_in(timedelta(seconds=-1), "note", turn * 10 + n)
    if turn % 2:
        scheduler.acquire_locks()
        scheduler.enqueue_scheduled_jobs()
        scheduler.release_locks()
    time.sleep(0.12)`);
    await expect.poll(() => runs.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(120);
    await expect.poll(() => ids('rq:wip:default')).toEqual([]);
    expect(await ids('rq:queue:default')).toEqual([]);
    expect(await ids('rq:scheduled:default')).toEqual([]);
    expect(runs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, n) => n));
  });
});
