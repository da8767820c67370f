import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../../lib/index.ts';
import { RUNNERS, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('Dependencies that Python RQ %s wrote', version => {
  const { redis, python, q, work, workAs, worker, ids } = useBoth(version);

  /** Runs statements that make jobs; answers their ids by the names that they were given. */
  const make = <K extends string>(
    code: string,
    ...names: readonly K[]
  ): Promise<Readonly<Record<K, string>>> =>
    python.run(`${code}\nout = {${names.map(name => `"${name}": ${name}.id`).join(', ')}}`);
  const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');
  const dependents = async (id: string): Promise<string[]> =>
    (await redis.client.smembers(`rq:job:${id}:dependents`)).toSorted();
  const list = (name = 'default'): Promise<string[]> => ids(`rq:queue:${name}`);
  const deferred = (name = 'default'): Promise<string[]> => ids(`rq:deferred:${name}`);

  // what RQ's own worker does to a job is what ours is held to
  describe.each(RUNNERS)('and a %s worker carries out', runner => {
    const once = (): Promise<void> => workAs(runner, { maxJobs: 1 });

    it('queue a job once the one that it waits for has finished', async () => {
      const { a, b } = await make(
        'a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=a)',
        'a',
        'b',
      );
      expect(await deferred()).toEqual([b]);
      await once();
      expect([await status(a), await status(b)]).toEqual(['finished', 'queued']);
      expect(await list()).toEqual([b]);
      expect(await deferred()).toEqual([]);
      expect(await redis.client.exists(`rq:job:${a}:dependents`)).toBe(0);
      // what is met leaves the set here, and stays in it there: so Python finds the ids in one of the two cases
      expect(
        await python.run('j = job(id); out = [j.enqueued_at is not None, j.timeout, j.dependency_ids]', {
          id: b,
        }),
      ).toEqual([true, 180, runner === 'Node' ? [] : [a]]);
      await workAs(runner);
      expect(await (await q.fetchJob(b))?.result).toBe(7);
    });

    it('queue all that wait for one job', async () => {
      const { a, b, d } = await make(
        'a = queue().enqueue("tasks.add", 1, 2)\n' +
          'b, d = [queue().enqueue("tasks.add", 3, 4, depends_on=a) for _ in range(2)]',
        'a',
        'b',
        'd',
      );
      await once();
      expect((await list()).toSorted()).toEqual([b, d].toSorted());
      expect(await dependents(a)).toEqual([]);
    });

    it('queue a job that waits for several once the last of them has finished', async () => {
      const { a, b, d } = await make(
        'a, b = [queue().enqueue("tasks.add", 1, 2) for _ in range(2)]; d = queue().enqueue("tasks.add", 3, 4, depends_on=[a, b])',
        'a',
        'b',
        'd',
      );
      await once();
      expect([await status(a), await status(b), await status(d)]).toEqual(['finished', 'queued', 'deferred']);
      expect(await deferred()).toEqual([d]);
      await once();
      expect([await status(b), await status(d)]).toEqual(['finished', 'queued']);
      expect(await list()).toEqual([d]);
      expect(await deferred()).toEqual([]);
    });

    it('carry a chain to its end within one burst', async () => {
      const { a, b, d } = await make(
        'a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=a)\n' +
          'd = queue().enqueue("tasks.add", 5, 6, depends_on=b)',
        'a',
        'b',
        'd',
      );
      await workAs(runner);
      expect([await status(a), await status(b), await status(d)]).toEqual([
        'finished',
        'finished',
        'finished',
      ]);
      expect(await ids('rq:finished:default')).toHaveLength(3);
    });

    it('leave a job deferred whose dependency failed', async () => {
      const { a, b } = await make(
        'a = queue().enqueue("tasks.fail"); b = queue().enqueue("tasks.add", 3, 4, depends_on=a)',
        'a',
        'b',
      );
      await workAs(runner);
      expect([await status(a), await status(b)]).toEqual(['failed', 'deferred']);
      expect(await deferred()).toEqual([b]);
      expect(await dependents(a)).toEqual([b]);
    });

    it.each(RUNNERS)('queue it when that job was requeued by %s, and finished', async asker => {
      const { a, b } = await make(
        'a = queue().enqueue("tasks.second_time"); b = queue().enqueue("tasks.add", 3, 4, depends_on=a)',
        'a',
        'b',
      );
      await workAs(runner);
      expect([await status(a), await status(b)]).toEqual(['failed', 'deferred']);
      await (asker === 'Node' ? q.failedRegistry.requeue(a) : python.run('job(id).requeue()', { id: a }));
      await workAs(runner);
      expect([await status(a), await status(b)]).toEqual(['finished', 'finished']);
    });

    it('queue a job whose dependency may fail', async () => {
      const { a, b } = await make(
        'a = queue().enqueue("tasks.fail"); b = queue().enqueue("tasks.add", 3, 4, depends_on=Dependency(a, allow_failure=True))',
        'a',
        'b',
      );
      await once();
      expect([await status(a), await status(b)]).toEqual(['failed', 'queued']);
      expect(await list()).toEqual([b]);
      expect(await dependents(a)).toEqual([]);
      await workAs(runner);
      expect(await (await q.fetchJob(b))?.result).toBe(7);
    });

    it('queue a job whose dependencies may fail once all have ended', async () => {
      const { a, b, d } = await make(
        'a = queue().enqueue("tasks.fail"); b = queue().enqueue("tasks.add", 1, 2)\n' +
          'd = queue().enqueue("tasks.add", 3, 4, depends_on=Dependency([a, b], allow_failure=True))',
        'a',
        'b',
        'd',
      );
      await once();
      expect([await status(a), await status(d)]).toEqual(['failed', 'deferred']);
      await once();
      expect([await status(b), await status(d)]).toEqual(['finished', 'queued']);
    });

    it.each([
      [true, 'front'],
      [false, 'end'],
    ])('where enqueue_at_front is %s, queue it at the %s', async front => {
      const { b, w } = await make(
        `a = queue().enqueue("tasks.add", 1, 2)
b = queue().enqueue("tasks.add", 3, 4, depends_on=Dependency([a], enqueue_at_front=${front ? 'True' : 'False'}))
w = queue().enqueue("tasks.add", 5, 6)`,
        'b',
        'w',
      );
      await once();
      expect(await list()).toEqual(front ? [b, w] : [w, b]);
    });

    it('reach across queues, to those that the worker does not listen on', async () => {
      const { b } = await make(
        'a = queue().enqueue("tasks.add", 1, 2); b = queue("other").enqueue("tasks.add", 3, 4, depends_on=a)',
        'b',
      );
      await workAs(runner);
      expect(await status(b)).toBe('queued');
      expect(await list('other')).toEqual([b]);
      expect(await list()).toEqual([]);
      expect(await deferred('other')).toEqual([]);
      expect(await redis.client.sismember('rq:queues', 'rq:queue:other')).toBe(1);
      await workAs(runner, { queues: 'other' });
      expect(await status(b)).toBe('finished');
    });

    it('wait for a job through its retries', async () => {
      const { a, b } = await make(
        'a = queue().enqueue("tasks.fail", retry=Retry(max=1)); b = queue().enqueue("tasks.add", 3, 4, depends_on=Dependency(a, allow_failure=True))',
        'a',
        'b',
      );
      await once();
      expect([await status(a), await status(b)]).toEqual(['queued', 'deferred']);
      await once();
      expect([await status(a), await status(b)]).toEqual(['failed', 'queued']);
    });

    it('are met by a job whose result is not kept', async () => {
      const { a, b, d } = await make(
        'a = queue().enqueue("tasks.add", 1, 2, result_ttl=0); b = queue().enqueue("tasks.add", 1, 2)\n' +
          'd = queue().enqueue("tasks.add", 3, 4, depends_on=[a, b])',
        'a',
        'b',
        'd',
      );
      await workAs(runner);
      expect([await status(a), await status(b), await status(d)]).toEqual([null, 'finished', 'finished']);
      expect(await redis.client.exists(`rq:job:${a}:dependents`)).toBe(0);
    });

    it('do not queue a job that was canceled', async () => {
      const { b } = await make(
        'a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=a); b.cancel()',
        'b',
      );
      await workAs(runner);
      expect(await status(b)).toBe('canceled');
      expect(await list()).toEqual([]);
      expect(await ids('rq:canceled:default')).toEqual([b]);
    });

    it('do not bring back a job that was deleted', async () => {
      const { a, b } = await make(
        'a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=a); b.delete()',
        'a',
        'b',
      );
      await workAs(runner);
      expect(await status(a)).toBe('finished');
      expect(await redis.client.exists(`rq:job:${b}`)).toBe(0);
      expect(await list()).toEqual([]);
    });

    it('give a job its ttl once it is queued', async () => {
      const { b } = await make(
        'a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=a, ttl=600)',
        'b',
      );
      await redis.client.persist(`rq:job:${b}`);
      await once();
      expect(await redis.client.ttl(`rq:job:${b}`)).toBeGreaterThan(590);
    });

    it('may be on jobs of ours', async () => {
      const a = await q.enqueue('tasks.add', [1, 2]);
      const b = await python.run<string>('out = queue().enqueue("tasks.add", 3, 4, depends_on=job(id)).id', {
        id: a.id,
      });
      expect(await status(b)).toBe('deferred');
      await once();
      expect([await status(a.id), await status(b)]).toEqual(['finished', 'queued']);
      await workAs(runner);
      expect(await python.run('out = job(id).return_value()', { id: b })).toBe(7);
    });

    it('are met at once by a job of ours that has finished', async () => {
      const a = await q.enqueue('tasks.add', [1, 2]);
      await workAs(runner);
      const b = await python.run<string>('out = queue().enqueue("tasks.add", 3, 4, depends_on=id).id', {
        id: a.id,
      });
      expect(await status(b)).toBe('queued');
    });

    it('may be on a job of ours and one of theirs, of which a failed one holds the job back', async () => {
      const ours = await q.enqueue('tasks.fail');
      const { a, b } = await make(
        `a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=[a, "${ours.id}"])`,
        'a',
        'b',
      );
      await workAs(runner);
      expect([await status(ours.id), await status(a), await status(b)]).toEqual([
        'failed',
        'finished',
        'deferred',
      ]);
    });
  });

  it('are met by both languages together', async () => {
    const { a, b, d } = await make(
      'a = queue("one").enqueue("tasks.add", 1, 2); b = queue("two").enqueue("tasks.add", 1, 2)\n' +
        'd = queue().enqueue("tasks.add", 3, 4, depends_on=[a, b])',
      'a',
      'b',
      'd',
    );
    await workAs('Python', { queues: 'one' });
    expect(await status(d)).toBe('deferred');
    await workAs('Node', { queues: 'two' });
    expect([await status(a), await status(b), await status(d)]).toEqual(['finished', 'finished', 'queued']);
  });

  it('are not met by a job that was stopped, though it may fail', async () => {
    const { a, b } = await make(
      'a = queue().enqueue("held"); b = queue().enqueue("tasks.add", 3, 4, depends_on=Dependency(a, allow_failure=True))',
      'a',
      'b',
    );
    const held = (): Promise<void> =>
      new Promise((_, reject) => {
        const { signal } = getCurrentJob()!;
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const worked = worker({ held }).work({ burst: true });
    await expect.poll(() => status(a)).toBe('started');
    await python.run('send_stop_job_command(c, id, serializer=JSONSerializer)', { id: a });
    await worked;
    expect([await status(a), await status(b)]).toEqual(['stopped', 'deferred']);
  });

  it('show here as dependencyIds', async () => {
    const { a, b, d } = await make(
      'a, b = [queue().enqueue("tasks.add", 1, 2) for _ in range(2)]; d = queue().enqueue("tasks.add", 3, 4, depends_on=[a, b])',
      'a',
      'b',
      'd',
    );
    expect((await q.fetchJob(d))?.dependencyIds).toEqual([a, b]);
    expect(await q.deferredRegistry.getJobIds()).toEqual([d]);
    await work();
    expect(await q.deferredRegistry.count()).toBe(0);
  });

  it('are many on one job, and all are queued', async () => {
    const { a } = await make(
      'a = queue().enqueue("tasks.add", 1, 2, job_id="root")\n' +
        'data = [Queue.prepare_data("tasks.add", args=[n, 1], depends_on="root") for n in range(300)]\n' +
        'queue().enqueue_many(data)',
      'a',
    );
    const all = await dependents(a);
    expect(all).toHaveLength(300);
    await workAs('Node', { maxJobs: 1 });
    // no more than 200 in one script: the rest is on its way, and any worker's to bring there
    expect(await dependents(a)).toEqual([]);
    const left = await redis.client.smembers(`rq:releasing:${a}`);
    expect([...(await list()), ...left].toSorted()).toEqual(all);
    expect((await deferred()).toSorted()).toEqual(left.toSorted());
    await work({ options: { concurrency: 50 } });
    expect(await q.finishedRegistry.count()).toBe(301);
    expect(await deferred()).toEqual([]);
    expect(await redis.client.keys('rq:releasing*')).toEqual([]);
  });

  it('are carried to their end within one burst of a worker that has slots to spare', async () => {
    const { d } = await make(
      'a = queue().enqueue("tasks.add", 1, 2); b = queue().enqueue("tasks.add", 3, 4, depends_on=a)\n' +
        'd = queue().enqueue("tasks.add", 5, 6, depends_on=b)',
      'd',
    );
    await work({ options: { concurrency: 5 } });
    expect(await status(d)).toBe('finished');
  });
});
