import { describe, expect, it } from 'vitest';
import { RUNNERS, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('A group that Python RQ %s made', version => {
  const { redis, python, q, work, workAs } = useBoth(version);

  /** A group `g` of jobs, one for each call of `prepare_data`; answers their ids. */
  const group = (...calls: readonly string[]): Promise<string[]> =>
    python.run<string[]>(
      `out = [j.id for j in Group.create(c, "g").enqueue_many(queue(), [${calls
        .map(call => `Queue.prepare_data(${call})`)
        .join(', ')}])]`,
    );
  const members = async (): Promise<string[]> => (await redis.client.smembers('rq:group:g')).toSorted();
  const add = '"tasks.add", args=[1, 2]';

  it('is whole after a Node worker ran its jobs, with their results', async () => {
    const all = await group(add, '"tasks.add", args=[3, 4]', '"tasks.fail"');
    await work();
    expect(await members()).toEqual(all.toSorted());
    const seen = await python.run(
      `
group = Group.fetch("g", c)
of = {j.id: j for j in group.get_jobs()}
out = [[of[id].get_status(), of[id].group_id, job(id).return_value()] for id in all]`,
      { all },
    );
    expect(seen).toEqual([
      ['finished', 'g', 3],
      ['finished', 'g', 7],
      ['failed', 'g', null],
    ]);
    expect(await python.run('out = [g.name for g in Group.all(c)]')).toEqual(['g']);
  });

  it('is whole while its jobs wait, and after one was requeued here', async () => {
    const all = await group('"tasks.fail"', add);
    expect(await members()).toEqual(all.toSorted());
    await work();
    await q.failedRegistry.requeue(all[0] ?? '');
    expect(await members()).toEqual(all.toSorted());
    await work({ functions: { 'tasks.fail': () => 'well' } });
    expect(await python.run('out = [j.get_status() for j in Group.fetch("g", c).get_jobs()]')).toEqual([
      'finished',
      'finished',
    ]);
  });

  it('loses a job that is deleted here, waiting or ended', async () => {
    const [a = '', b = '', last = ''] = await group(add, add, add);
    await (await q.fetchJob(a))?.delete();
    expect(await members()).toEqual([b, last].toSorted());
    await work();
    await (await q.fetchJob(b))?.delete();
    expect(await members()).toEqual([last]);
    expect(await python.run('out = [j.id for j in Group.fetch("g", c).get_jobs()]')).toEqual([last]);
  });

  it('loses the jobs of a queue that is emptied here', async () => {
    await group(add, add);
    expect(await q.empty()).toBe(2);
    expect(await members()).toEqual([]);
    expect(await python.run('out = Group.all(c)')).toEqual([]);
  });

  it('lets Python delete a job that ran here', async () => {
    const [a = '', b = ''] = await group(add, add);
    await work();
    await python.run('job(a).delete()', { a });
    expect(await members()).toEqual([b]);
  });

  // what RQ's own worker does to a group is what ours is held to
  describe.each(RUNNERS)('after a run by a %s worker', runner => {
    it('holds no dead id of a job whose result is not kept', async () => {
      const [gone = '', kept = ''] = await group('"tasks.add", args=[1, 2], result_ttl=0', add);
      await workAs(runner);
      expect(await redis.client.exists(`rq:job:${gone}`)).toBe(0);
      expect(await members()).toEqual([kept]);
    });

    it('holds no dead id of a job whose failure is not kept', async () => {
      const [gone = '', kept = ''] = await group('"tasks.fail", failure_ttl=0', add);
      await workAs(runner);
      expect(await redis.client.exists(`rq:job:${gone}`)).toBe(0);
      expect(await members()).toEqual([kept]);
    });

    it('is gone with the last of its jobs', async () => {
      await group('"tasks.add", args=[1, 2], result_ttl=0');
      await workAs(runner);
      expect(await redis.client.exists('rq:group:g')).toBe(0);
      expect(await python.run('out = Group.all(c)')).toEqual([]);
      await python.run('Group.clean_registries(c)');
      expect(await redis.client.smembers('rq:groups')).toEqual([]);
    });
  });

  it('forgets what has expired as ever', async () => {
    const [a = '', b = ''] = await group('"tasks.add", args=[1, 2], result_ttl=1000', add);
    await work();
    await redis.client.pexpire(`rq:job:${a}`, 1);
    await expect.poll(() => redis.client.exists(`rq:job:${a}`)).toBe(0);
    await python.run('Group.clean_registries(c)');
    expect(await members()).toEqual([b]);
  });

  it('may be of jobs that wait for others', async () => {
    const root = await python.run<string>('out = queue().enqueue("tasks.add", 1, 2, job_id="root").id');
    const all = await group(`${add}, depends_on="${root}"`, `${add}, depends_on="${root}"`);
    await work();
    expect(await python.run('out = [j.get_status() for j in Group.fetch("g", c).get_jobs()]')).toEqual([
      'finished',
      'finished',
    ]);
    expect(await members()).toEqual(all.toSorted());
  });
});
