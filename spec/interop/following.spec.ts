/** Our jobs that follow others, beside Python RQ: results as arguments through either side, groups, `rq info`. */
import { describe, expect, it } from 'vitest';
import type { Job } from '../../lib/index.ts';
import { RUNNERS, useBoth } from './both.ts';
import { rq, VERSIONS } from './python.ts';

describe.each(VERSIONS)('Jobs of ours that follow others, beside Python RQ %s', version => {
  const { redis, python, q, work, workAs, ids } = useBoth(version);

  const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');
  const data = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'data');
  const pythonJob = async <T>(call: string): Promise<Job<T>> => {
    const id = await python.run<string>(`out = queue().enqueue(${call}).id`);
    return (await q.fetchJob<T>(id)) as Job<T>;
  };

  describe.each(RUNNERS)('and a %s worker runs what they follow', runner => {
    it('take the result of a job of ours', async () => {
      const first = await q.enqueue<number>('tasks.add', [4, 6]);
      const last = await q.enqueue<number>('tasks.add', [first, 10]);
      await workAs(runner, { maxJobs: 1 });
      expect([await status(first.id), await status(last.id)]).toEqual(['finished', 'queued']);
      await work();
      expect(await last.result).toBe(20);
    });

    it.each<[string, unknown]>([
      ['None', null],
      ['[]', []],
      ['{"a": [1, {"b": None}]}', { a: [1, { b: null }] }],
      ['"é\\u2028\\"\\\\"', 'é\u2028"\\'],
      ['1e300', 1e300],
      ['"x" * 2_000_000', 'x'.repeat(2_000_000)],
    ])('take the result of a job of Python’s: %s', async (value, expected) => {
      const first = await pythonJob(`"tasks.same", ${value}`);
      const last = await q.enqueue('tasks.same', [first]);
      const same = (given: unknown): unknown => given;
      if (runner === 'Node') await work({ functions: { 'tasks.same': same }, maxJobs: 1 });
      else await workAs('Python', { maxJobs: 1 });
      expect(await status(last.id)).toBe('queued');
      await work({ functions: { 'tasks.same': same } });
      expect(await last.result).toEqual(expected);
    });

    it('take results of both languages, nested', async () => {
      const [ours, theirs] = [
        await q.enqueue<number>('tasks.add', [1, 2]),
        await pythonJob<number>('"tasks.add", 3, 4'),
      ];
      const last = await q.enqueue('takes', [{ all: [theirs, ours, theirs] }]);
      await workAs(runner, { maxJobs: 1 });
      expect(await status(last.id)).toBe('deferred');
      await workAs(runner, { maxJobs: 1 });
      expect(await status(last.id)).toBe('queued');
      await work({ functions: { takes: (given: unknown) => given } });
      expect(await last.result).toEqual({ all: [7, 3, 7] });
    });

    it('are waited for by jobs of Python’s, which wait for jobs of ours', async () => {
      const first = await q.enqueue('tasks.add', [1, 2], { jobId: 'first' });
      const middle = await pythonJob('"tasks.add", 3, 4, depends_on="first"');
      const last = await q.enqueue('tasks.add', [middle as Job<number>, 1]);
      expect([await status(middle.id), await status(last.id)]).toEqual(['deferred', 'deferred']);
      await workAs(runner, { maxJobs: 2 });
      await work();
      expect([await first.result, await middle.result, await last.result]).toEqual([3, 7, 8]);
      expect(await ids('rq:deferred:default')).toEqual([]);
    });

    it('are let go by a failure that is allowed, as null', async () => {
      const first = await q.enqueue('tasks.fail');
      const last = await q.enqueue('tasks.echo', [first, 1], {
        dependsOn: { jobs: first, allowFailure: true },
      });
      await workAs(runner, { maxJobs: 1 });
      expect([await status(first.id), await status(last.id)]).toEqual(['failed', 'queued']);
      await work();
      expect(await last.result).toEqual([null, 1]);
    });

    it('are held back by one that is not, and name it', async () => {
      const first = await q.enqueue('tasks.fail');
      const last = await q.chain([
        ['tasks.add', [1, 2], { dependsOn: first }],
        ['tasks.add', [1]],
      ]);
      await workAs(runner);
      const error = await last.wait({ timeout: 5 }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'RQ_DEPENDENCY_FAILED',
        dependencyId: first.id,
        status: 'failed',
        remote: { message: expect.stringContaining('on purpose') },
      });
    });
  });

  it('are given plain values, where a Node worker ran what they take, also to a Python worker', async () => {
    const first = await q.enqueue<number>('tasks.add', [4, 6]);
    const failing = await q.enqueue<number>('tasks.fail');
    const dependsOn = { allowFailure: true };
    const last = await q.enqueue('tasks.echo', [first, [failing]], { kwargs: { x: first }, dependsOn });
    await work({ maxJobs: 2 });
    expect(await data(last.id)).toBe('["tasks.echo",null,[10,[null]],{"x":10}]');
    await workAs('Python');
    expect(await python.run('out = job(id).return_value()', { id: last.id })).toEqual([
      [10, [null]],
      { x: 10 },
    ]);
  });

  it('are text to a Python worker, where one ran what they take, though a Node worker ended the last', async () => {
    const first = await q.enqueue<number>('tasks.add', [4, 6]);
    const after = await q.enqueue<number>('tasks.add', [1, 1]);
    const last = await q.enqueue('tasks.echo', [first], { dependsOn: after });
    await workAs('Python', { maxJobs: 1 });
    await work({ maxJobs: 1 });
    await workAs('Python');
    expect(await python.run('out = job(id).return_value()', { id: last.id })).toEqual([
      [`job:${first.id}`],
      {},
    ]);
  });

  it('take results where Python’s worker released and saved them anew, compressed', async () => {
    const first = await q.enqueue<number>('tasks.add', [4, 6]);
    const last = await q.enqueue<number>('tasks.add', [first, 1]);
    await workAs('Python', { maxJobs: 1 });
    expect(await status(last.id)).toBe('queued');
    await python.run('j = job(id); j.save()', { id: last.id });
    expect((await redis.client.hgetBuffer(`rq:job:${last.id}`, 'data'))?.[0]).toBe(0x78);
    await work();
    expect(await last.result).toBe(11);
    expect(await python.run('out = job(id).return_value()', { id: last.id })).toBe(11);
  });

  it('fail, and say why, where a result that Python’s worker did not hand on is gone', async () => {
    const first = await q.enqueue<number>('tasks.add', [4, 6]);
    const last = await q.enqueue<number>('tasks.add', [first, 1]);
    await workAs('Python', { maxJobs: 1 });
    await first.delete();
    await work();
    await expect(last.result).rejects.toMatchObject({
      code: 'RQ_JOB_FAILED',
      remote: {
        name: 'DependencyFailedError',
        message: `Job ${last.id} needs job ${first.id}, which is gone`,
      },
    });
  });

  it('are released by Python’s cancel, where it asks for that', async () => {
    const first = await q.enqueue('tasks.add', [1, 2]);
    const last = await q.enqueue('tasks.add', [3, 4], { dependsOn: first });
    await python.run('job(id).cancel(enqueue_dependents=True)', { id: first.id });
    await work();
    expect([await status(first.id), await last.result]).toEqual(['canceled', 7]);
  });

  it('are seen by Python: what they wait for, and who waits for them', async () => {
    const [a, b] = [await q.enqueue('tasks.add', [1, 2]), await q.enqueue('tasks.add', [1, 2])];
    const last = await q.enqueue('tasks.add', [3, 4], {
      dependsOn: { jobs: [a, b], allowFailure: true, atFront: true },
    });
    const seen = await python.run(
      `
j = job(id)
out = [sorted(d.id for d in j.fetch_dependencies()), j.get_status(), j.allow_dependency_failures, bool(j.enqueue_at_front),
    list(job(a).dependent_ids), queue().deferred_job_registry.get_job_ids(), j.dependencies_are_met()]`,
      { id: last.id, a: a.id },
    );
    expect(seen).toEqual([[a.id, b.id].toSorted(), 'deferred', true, true, [last.id], [last.id], false]);
  });

  describe('a group', () => {
    it('of ours is fetched by Python, with its jobs and their results', async () => {
      const group = await q.group(
        [
          ['tasks.add', [1, 2]],
          ['tasks.add', [3, 4]],
        ],
        { name: 'ours' },
      );
      expect(await python.run('out = [g.name for g in Group.all(c)]')).toEqual(['ours']);
      await workAs('Python', { maxJobs: 1 });
      await work();
      expect(await group.wait({ timeout: 5 })).toEqual([3, 7]);
      const seen = await python.run(
        'of = {j.id: j for j in Group.fetch("ours", c).get_jobs()}; out = [[of[id].get_status(), of[id].group_id] for id in all]',
        { all: group.jobIds },
      );
      expect(seen).toEqual([
        ['finished', 'ours'],
        ['finished', 'ours'],
      ]);
    });

    it('of Python’s is fetched here, and stands for its results', async () => {
      const all = await python.run<string[]>(
        'out = [j.id for j in Group.create(c, "theirs").enqueue_many(queue(), [Queue.prepare_data("tasks.add", args=[n, 1]) for n in range(3)])]',
      );
      const group = await q.fetchGroup('theirs');
      expect(group?.jobIds.toSorted()).toEqual(all.toSorted());
      expect(await group?.counts()).toMatchObject({ queued: 3, finished: 0, gone: 0 });
      const last = await q.enqueue('tasks.echo', [group]);
      await workAs('Python', { maxJobs: 2 });
      await work();
      const results = (await group?.wait({ timeout: 5 })) as number[];
      expect(results.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
      expect(await last.result).toEqual([results]);
      expect(await q.fetchGroup('unknown')).toBeUndefined();
    });
  });

  it('are counted by rq info, whatever they wait for', async () => {
    const first = await q.enqueue('tasks.add', [1, 2]);
    await q.enqueue('tasks.echo', [first]);
    await q.chain([
      ['tasks.add', [1, 2]],
      ['tasks.add', [3]],
    ]);
    const group = await q.group([['tasks.add', [1, 2]]], { name: 'ours' });
    await q.enqueue('tasks.echo', [group]);
    await q.enqueueIn('1h', 'tasks.add', [1, 2]);
    await q.enqueueAt(new Date(Date.now() + 3_600_123), 'tasks.add', [1, 2], {
      repeat: { times: 2, interval: [1, 2] },
    });
    await (await q.enqueue('tasks.fail')).cancel();
    const before = await redis.client.zrange('rq:deferred:default', '0', '-1');
    const { code, out } = await rq(version, redis.port, ['info']);
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringMatching(/default\s+\|.*\b3\b/) });
    expect(before).toHaveLength(3);
    expect(await redis.client.zrange('rq:deferred:default', '0', '-1')).toEqual(before);
    const read =
      'r = queue(); out = [r.count, r.deferred_job_registry.count, r.scheduled_job_registry.count, r.canceled_job_registry.count]';
    expect(await python.run(read)).toEqual([3, 3, 2, 1]);
  });
});
