import { describe, expect, it } from 'vitest';
import { JobFailedError, type EnqueueOptions } from '../../lib/index.ts';
import { useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('A job of ours, handed to Python RQ %s', version => {
  const { redis, python, q, ids } = useBoth(version);

  const enqueue = async (
    name: string,
    args: readonly unknown[] = [],
    options?: EnqueueOptions,
  ): Promise<string> => (await q.enqueue(name, args, options)).id;
  const work = (): Promise<unknown> => python.run('work("default")');
  const ttl = (id: string): Promise<number> => redis.client.ttl(`rq:job:${id}`);

  it('reaches a Python function with its args and kwargs', async () => {
    const args = [1, 2.5, null, [true, {}], 'żółw ☂', { y: [] }];
    const job = await q.enqueue('tasks.echo', args, { kwargs: { x: [1], z: { a: null } } });
    await work();
    expect(await job.result).toEqual([args, { x: [1], z: { a: null } }]);
  });

  it('shows its fields there', async () => {
    const job = await q.enqueue('tasks.echo', [1, 'a'], {
      kwargs: { x: null },
      description: 'what for',
      meta: { a: { b: [] } },
      timeout: '5m',
      ttl: '10m',
      resultTtl: 70,
      failureTtl: 80,
    });
    const seen = await python.run<Readonly<Record<string, unknown>>>(
      `
j = job(id)
out = {"id": j.id, "status": j.get_status(), "origin": j.origin, "func": j.func_name, "instance": j.instance, "args": j.args,
       "kwargs": j.kwargs, "description": j.description, "meta": j.meta, "timeout": j.timeout, "ttl": j.ttl,
       "result_ttl": j.result_ttl, "failure_ttl": j.failure_ttl, "worker": j.worker_name, "started": j.started_at,
       "ended": j.ended_at, "group": j.group_id, "retries": j.retries_left, "position": j.get_position(),
       "age": [(datetime.now(timezone.utc) - at).total_seconds() for at in (j.created_at, j.enqueued_at)]}`,
      { id: job.id },
    );
    const { age, ...rest } = seen;
    expect(rest).toEqual({
      id: job.id,
      status: 'queued',
      origin: 'default',
      func: 'tasks.echo',
      instance: null,
      args: [1, 'a'],
      kwargs: { x: null },
      description: 'what for',
      meta: { a: { b: [] } },
      timeout: 300,
      ttl: 600,
      result_ttl: 70,
      failure_ttl: 80,
      worker: null,
      started: null,
      ended: null,
      group: null,
      retries: null,
      position: 0,
    });
    for (const seconds of age as number[]) {
      expect(seconds).toBeGreaterThanOrEqual(0);
      expect(seconds).toBeLessThan(5);
    }
  });

  it('is in its queue there', async () => {
    const id = await enqueue('tasks.add', [1, 2]);
    const at =
      '[[each.name for each in Queue.all(connection=c)], queue().job_ids, [j.id for j in queue().jobs]]';
    expect(await python.run(`out = ${at}`)).toEqual([['default'], [id], [id]]);
  });

  it('has the defaults that RQ would give it', async () => {
    const id = await enqueue('tasks.add', [1, 2]);
    expect(
      await python.run(
        'j = job(id); out = [j.timeout, j.ttl, j.result_ttl, j.failure_ttl, j.meta, j.description]',
        {
          id,
        },
      ),
    ).toEqual([180, null, null, null, {}, 'tasks.add(1, 2)']);
  });

  it('has a meta that its Python function reads and changes', async () => {
    const job = await q.enqueue('tasks.meta', [], { meta: { from: 'Node' } });
    await work();
    expect(await job.result).toEqual({ from: 'Node', seen: true });
    expect((await job.refresh()).meta).toEqual({ from: 'Node', seen: true });
  });

  it('has a meta that is still changed from here once Python has it', async () => {
    const job = await q.enqueue('tasks.meta', [], { meta: { from: 'Node' } });
    await python.run('j = job(id); j.meta["theirs"] = 1; j.save_meta()', { id: job.id });
    await job.refresh();
    job.meta['ours'] = [null];
    await job.saveMeta();
    await work();
    expect(await job.result).toEqual({ from: 'Node', theirs: 1, ours: [null], seen: true });
  });

  it('expires by its ttl while it waits, and not once it was started', async () => {
    const job = await q.enqueue('tasks.left', [], { ttl: '1m' });
    expect(await ttl(job.id)).toBeGreaterThan(50);
    expect(await ttl(job.id)).toBeLessThanOrEqual(60);
    await work();
    expect(await job.result).toBe(-1);
  });

  it('keeps its result for its resultTtl', async () => {
    const id = await enqueue('tasks.add', [1, 2], { resultTtl: '70s' });
    await work();
    expect(await ttl(id)).toBeGreaterThan(60);
    expect(await ttl(id)).toBeLessThanOrEqual(70);
    expect(await q.finishedRegistry.getJobIds()).toEqual([id]);
  });

  it('leaves nothing behind with a resultTtl of 0', async () => {
    await enqueue('tasks.add', [1, 2], { jobId: 'no-result', resultTtl: 0 });
    await work();
    expect(await redis.client.keys('*no-result*')).toEqual([]);
    expect(await q.finishedRegistry.getJobIds()).toEqual([]);
  });

  it('keeps its result for ever with a resultTtl of -1', async () => {
    const job = await q.enqueue('tasks.add', [1, 2], { resultTtl: -1 });
    await work();
    expect(await ttl(job.id)).toBe(-1);
    expect(await q.finishedRegistry.getJobIds()).toEqual([job.id]);
    expect(await job.result).toBe(3);
  });

  it('keeps its failure for its failureTtl', async () => {
    const id = await enqueue('tasks.fail', [], { failureTtl: '70s' });
    await work();
    expect(await ttl(id)).toBeGreaterThan(60);
    expect(await ttl(id)).toBeLessThanOrEqual(70);
    expect(await q.failedRegistry.getJobIds()).toEqual([id]);
  });

  it('keeps its failure for ever with a failureTtl of -1', async () => {
    const id = await enqueue('tasks.fail', [], { failureTtl: -1 });
    await work();
    expect(await ttl(id)).toBe(-1);
    expect(await q.failedRegistry.getJobIds()).toEqual([id]);
  });

  it('is held to its timeout', async () => {
    const job = await q.enqueue('tasks.sleep', [20], { timeout: '1s' });
    await work();
    const error = await job.result.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JobFailedError);
    expect((error as JobFailedError).remote).toMatchObject({
      name: 'rq.timeouts.JobTimeoutException',
      message: 'Task exceeded maximum timeout value (1 seconds)',
    });
  });

  it('may run without end with a timeout of -1', async () => {
    const job = await q.enqueue('tasks.add', [1, 2], { timeout: -1 });
    await work();
    expect(await job.result).toBe(3);
  });

  it('comes first where it was put at the front', async () => {
    const second = await enqueue('tasks.add', [1, 2]);
    const third = await python.run('out = queue().enqueue("tasks.add", 1, 2).id');
    const first = await enqueue('tasks.add', [1, 2], { atFront: true });
    expect(await ids('rq:queue:default')).toEqual([first, second, third]);
    await python.run('work("default", max_jobs=1)');
    expect(await ids('rq:finished:default')).toEqual([first]);
  });

  it('keeps the id that it was given, which is not to be had meanwhile', async () => {
    await enqueue('tasks.add', [1, 2], { jobId: 'Our_own-1' });
    expect(await python.run('out = job("Our_own-1").args')).toEqual([1, 2]);
    const again = python.run('queue().enqueue("tasks.add", 5, 6, job_id="Our_own-1", unique=True)');
    await expect(again).rejects.toThrow('DuplicateJobError');
    expect(await q.getJobIds()).toEqual(['Our_own-1']);
  });

  it('gives its id to a new job of ours once Python has ended it', async () => {
    await enqueue('tasks.add', [1, 2], { jobId: 'again' });
    await work();
    const job = await q.enqueue('tasks.add', [5, 6], { jobId: 'again' });
    expect(await job.result).toBeUndefined();
    await work();
    expect(await job.result).toBe(11);
    expect(await python.run('out = job("again").return_value()')).toBe(11);
  });
});
