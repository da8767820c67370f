import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { DuplicateJobError, getCurrentJob, JobFailedError } from '../../lib/index.ts';
import { gate, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('A job that Python RQ %s wrote', version => {
  const { redis, python, q, work, worker, ids } = useBoth(version);

  const enqueue = (call: string): Promise<string> => python.run<string>(`out = queue().enqueue(${call}).id`);
  const ttl = (id: string): Promise<number> => redis.client.ttl(`rq:job:${id}`);
  const lasts = async (key: string, id: string): Promise<number> =>
    Number(await redis.client.zscore(key, id)) - Date.now() / 1000;

  it('reaches a Node function with its args, and its kwargs as one last object', async () => {
    const id = await enqueue('"tasks.echo", 1, 2.5, None, [True, {}], "żółw ☂", x=[1], y={"a": None}');
    await work();
    const args = [1, 2.5, null, [true, {}], 'żółw ☂', { x: [1], y: { a: null } }];
    expect(await python.run('out = job(id).return_value()', { id })).toEqual(args);
  });

  it('adds no last object where it has no kwargs', async () => {
    const id = await enqueue('"tasks.echo", {"a": 1}');
    await work();
    expect(await (await q.fetchJob(id))?.result).toEqual([{ a: 1 }]);
  });

  it('shows its fields here', async () => {
    const { id, created, enqueued } = await python.run<{ id: string; created: number; enqueued: number }>(
      `
j = queue().enqueue("tasks.echo", args=[1, "a"], kwargs={"x": None}, description="what for", meta={"a": {"b": []}},
                    job_timeout="5m", ttl=600, result_ttl=70, failure_ttl=80)
out = {"id": j.id, "created": j.created_at.timestamp() * 1000, "enqueued": j.enqueued_at.timestamp() * 1000}`,
    );
    const job = await q.fetchJob(id);
    expect(job).toMatchObject({
      id,
      status: 'queued',
      origin: 'default',
      functionName: 'tasks.echo',
      args: [1, 'a'],
      kwargs: { x: null },
      description: 'what for',
      meta: { a: { b: [] } },
      timeout: 300,
      ttl: 600,
      resultTtl: 70,
      failureTtl: 80,
      workerName: undefined,
      startedAt: undefined,
      endedAt: undefined,
      dependencyIds: [],
    });
    expect(Math.abs(Number(job?.createdAt) - created)).toBeLessThan(2);
    expect(Math.abs(Number(job?.enqueuedAt) - enqueued)).toBeLessThan(2);
  });

  it('is described by its call where Python was told no other words', async () => {
    const id = await enqueue('"tasks.echo", 1, x="a"');
    expect((await q.fetchJob(id))?.description).toBe("tasks.echo(1, x='a')");
  });

  it('shows its fields to the function that runs for it', async () => {
    const id = await enqueue('"who", "a", description="what for", meta={"a": 1}, job_timeout=77');
    const who = (): unknown => {
      const { id: own, origin, args, description, meta, timeout, status } = getCurrentJob() ?? {};
      return { own, origin, args, description, meta, timeout, status };
    };
    await work({ functions: { who } });
    expect(await python.run('out = job(id).return_value()', { id })).toEqual({
      own: id,
      origin: 'default',
      args: ['a'],
      description: 'what for',
      meta: { a: 1 },
      timeout: 77,
      status: 'started',
    });
  });

  it('has a meta that both sides read and change while it runs', async () => {
    const id = await enqueue('"step", meta={"from": "Python"}');
    const { passed, open } = gate();
    const step = async (): Promise<unknown> => {
      const job = getCurrentJob();
      if (job === undefined) throw new Error('not in a job');
      job.meta['step'] = 1;
      await job.saveMeta();
      await passed;
      return (await job.refresh()).meta;
    };
    const worked = worker({ step }).work({ burst: true });
    const meta = (): Promise<unknown> => python.run('out = job(id).get_meta()', { id });
    await expect.poll(meta).toEqual({ from: 'Python', step: 1 });
    await python.run('j = job(id); j.meta["told"] = [None]; j.save_meta()', { id });
    open();
    await worked;
    expect(await (await q.fetchJob(id))?.result).toEqual({ from: 'Python', step: 1, told: [null] });
    expect(await meta()).toEqual({ from: 'Python', step: 1, told: [null] });
  });

  it('expires by its ttl while it waits, and not once it was started', async () => {
    const id = await enqueue('"look", ttl=60');
    expect(await ttl(id)).toBeGreaterThan(50);
    expect(await ttl(id)).toBeLessThanOrEqual(60);
    await work({ functions: { look: () => ttl(id) } });
    expect(await (await q.fetchJob(id))?.result).toBe(-1);
  });

  it('is dropped where it expired before a worker took it', async () => {
    const id = await enqueue('"tasks.add", 1, 2, ttl=60');
    const next = await enqueue('"tasks.add", 3, 4');
    await redis.client.pexpire(`rq:job:${id}`, 1);
    await expect.poll(() => redis.client.exists(`rq:job:${id}`)).toBe(0);
    await work();
    expect(await redis.client.exists(`rq:job:${id}`)).toBe(0);
    expect(await ids('rq:finished:default')).toEqual([next]);
  });

  it('keeps its result for its result_ttl, in all places', async () => {
    const id = await enqueue('"tasks.add", 1, 2, result_ttl=70');
    await work();
    const stream = await redis.client.ttl(`rq:results:${id}`);
    for (const left of [await ttl(id), stream, await lasts('rq:finished:default', id)]) {
      expect(left).toBeGreaterThan(60);
      expect(left).toBeLessThanOrEqual(70.5);
    }
  });

  it('keeps its result as long as RQ does where it does not say', async () => {
    const id = await enqueue('"tasks.add", 1, 2');
    await work();
    expect(await ttl(id)).toBeGreaterThan(490);
    expect(await ttl(id)).toBeLessThanOrEqual(500);
  });

  it('leaves nothing behind with a result_ttl of 0', async () => {
    await enqueue('"tasks.add", 1, 2, job_id="no-result", result_ttl=0');
    await work();
    expect(await redis.client.keys('*no-result*')).toEqual([]);
    for (const key of ['rq:finished:default', 'rq:wip:default', 'rq:queue:default'])
      expect(await ids(key)).toEqual([]);
  });

  it('keeps its result for ever with a result_ttl of -1', async () => {
    const id = await enqueue('"tasks.add", 1, 2, result_ttl=-1');
    await work();
    expect(await ttl(id)).toBe(-1);
    expect(await redis.client.ttl(`rq:results:${id}`)).toBe(-1);
    expect(
      await python.run('out = [queue().finished_job_registry.get_job_ids(), job(id).return_value()]', { id }),
    ).toEqual([[id], 3]);
  });

  it('keeps its failure for its failure_ttl, in all places', async () => {
    const id = await enqueue('"tasks.fail", failure_ttl=70');
    await work();
    const stream = await redis.client.ttl(`rq:results:${id}`);
    for (const left of [await ttl(id), stream, await lasts('rq:failed:default', id)]) {
      expect(left).toBeGreaterThan(60);
      expect(left).toBeLessThanOrEqual(70.5);
    }
  });

  it('leaves nothing behind that failed with a failure_ttl of 0', async () => {
    await enqueue('"tasks.fail", job_id="no-failure", failure_ttl=0');
    await work();
    expect(await redis.client.keys('*no-failure*')).toEqual([]);
    expect(await ids('rq:failed:default')).toEqual([]);
  });

  it.each(['Python', 'Node'] as const)(
    'stays among the failed for ever with a failure_ttl of -1, failed by %s',
    async runner => {
      const id = await enqueue('"tasks.fail", failure_ttl=-1');
      await (runner === 'Node' ? work() : python.run('work("default")'));
      // each look forgets what has expired, and so does a janitor's round
      await work();
      expect(await ttl(id)).toBe(-1);
      expect(await python.run('out = queue().failed_job_registry.get_job_ids()')).toEqual([id]);
      expect(await q.failedRegistry.getJobIds()).toEqual([id]);
      expect(await python.run('out = queue().failed_job_registry.count')).toBe(1);
    },
  );

  it('is held to its timeout', async () => {
    const id = await enqueue('"slow", job_timeout=1');
    await work({ functions: { slow: () => sleep(20_000, 'late', { signal: getCurrentJob()!.signal }) } });
    const error = await (await q.fetchJob(id))?.result.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JobFailedError);
    expect((error as JobFailedError).remote.name).toBe('JobTimeoutError');
    expect(await python.run('out = job(id).latest_result().exc_string', { id })).toMatch(/timeout of 1 s/);
  });

  it('may run without end with a timeout of -1', async () => {
    const id = await enqueue('"tasks.add", 1, 2, job_timeout=-1');
    await work();
    expect(await (await q.fetchJob(id))?.result).toBe(3);
  });

  it('comes first where it was put at the front, and else in its turn', async () => {
    for (const [name, front] of [
      ['second', 'False'],
      ['third', 'False'],
      ['first', 'True'],
    ])
      await enqueue(`"note", "${name}", at_front=${front}`);
    const seen: string[] = [];
    await work({ functions: { note: (name: string) => seen.push(name) } });
    expect(seen).toEqual(['first', 'second', 'third']);
  });

  it('is one of many that were written at once', async () => {
    const all = await python.run<string[]>(`
data = [Queue.prepare_data("tasks.add", args=[n, 1], job_id=f"many-{n}") for n in range(20)]
out = [j.id for j in queue().enqueue_many(data)]`);
    await work({ options: { concurrency: 5 } });
    expect(await Promise.all(all.map(async id => (await q.fetchJob(id))?.result))).toEqual(
      Array.from({ length: 20 }, (_, n) => n + 1),
    );
  });

  it('keeps the id that it was given, which is not to be had meanwhile', async () => {
    await enqueue('"tasks.add", 1, 2, job_id="Their_own-1", unique=True');
    expect((await q.fetchJob('Their_own-1'))?.status).toBe('queued');
    const again = q.enqueue('tasks.add', [5, 6], { jobId: 'Their_own-1' });
    await expect(again).rejects.toBeInstanceOf(DuplicateJobError);
    expect(await q.getJobIds()).toEqual(['Their_own-1']);
  });

  it('gives its id to a job of ours once it has ended, and with it nothing of its own', async () => {
    await enqueue('"tasks.add", 1, 2, job_id="again", meta={"old": 1}');
    await work();
    const job = await q.enqueue('tasks.add', [5, 6], { jobId: 'again' });
    expect(await python.run('j = job("again"); out = [j.return_value(), j.meta, j.args]')).toEqual([
      null,
      {},
      [5, 6],
    ]);
    await work();
    expect(await job.result).toBe(11);
  });
});
