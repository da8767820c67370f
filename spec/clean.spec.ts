import { describe, expect, it } from 'vitest';
import { Rq, Worker, type CleanReport } from '../lib/index.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { ids, writeJobs } from './support/jobs.ts';
import { late } from './support/late.ts';

const redis = useRedis();
const q = useQueue(redis);
/** Longer than the grace. */
const OLD = 3600;

async function clean(options: Parameters<Rq['clean']>[0] = {}): Promise<CleanReport> {
  await using rq = new Rq({ connection: redis.url });
  return await rq.clean({ grace: '50ms', ...options });
}
const orphanIds = ({ orphans }: CleanReport): string[] => orphans.map(({ id }) => id).toSorted();

describe('Rq.clean of jobs that have ended', () => {
  it('deletes those of a status that ended before a time, and all that is kept about them', async () => {
    await writeJobs(redis.client, ['old'], { status: 'failed', age: OLD, fields: { group_id: 'g' } });
    await redis.client.sadd('rq:group:g', 'old', 'other');
    await redis.client.xadd('rq:results:old', '*', 'type', '2');
    await redis.client.sadd('rq:job::old:dependencies', 'x');
    await redis.client.sadd('rq:job:old:dependents', 'y');
    await writeJobs(redis.client, ['new'], { status: 'failed' });
    await writeJobs(redis.client, ['done'], { status: 'finished', age: OLD });
    const report = await clean({ olderThan: '30m', status: ['failed'] });
    expect(report).toEqual({
      ended: [{ queue: 'default', status: 'failed', count: 1 }],
      orphans: [],
      strayIds: [],
      deleted: true,
      interrupted: false,
    });
    expect(await q.failedRegistry.getJobIds()).toEqual(['new']);
    expect(await q.finishedRegistry.getJobIds()).toEqual(['done']);
    expect((await redis.client.keys('rq:*old*')).toSorted()).toEqual(['rq:releasing:old']);
    expect(await redis.client.hgetall('rq:releasing')).toEqual({ old: 'gone:0:' });
    expect(await redis.client.smembers('rq:group:g')).toEqual(['other']);
  });

  it('deletes all that ended where only an age is given, and all of a status where only that is', async () => {
    for (const status of ['finished', 'failed', 'stopped', 'canceled'])
      await writeJobs(redis.client, [status], { status, age: OLD });
    await writeJobs(redis.client, ['waits', 'waits-too'], { age: OLD });
    const young = await clean({ status: ['stopped'], dryRun: true });
    expect(young.ended).toEqual([{ queue: 'default', status: 'stopped', count: 1 }]);
    const { ended } = await clean({ olderThan: '30m' });
    expect(ended.map(({ status }) => status).toSorted()).toEqual([
      'canceled',
      'failed',
      'finished',
      'stopped',
    ]);
    expect(await redis.client.keys('rq:job:*')).toHaveLength(2);
  });

  it('keeps to queues that are named', async () => {
    await writeJobs(redis.client, ['a'], { status: 'failed', queue: 'one', age: OLD });
    await writeJobs(redis.client, ['b'], { status: 'failed', queue: 'two', age: OLD });
    const { ended } = await clean({ olderThan: 60, queues: ['two'] });
    expect(ended).toEqual([{ queue: 'two', status: 'failed', count: 1 }]);
    expect(await redis.client.exists('rq:job:a')).toBe(1);
  });

  it('leaves alone a job that is in a registry and says that it is something else', async () => {
    await writeJobs(redis.client, ['again'], { age: OLD });
    await redis.client.zadd('rq:failed:default', '+inf', 'again');
    expect((await clean({ status: ['failed'] })).ended).toEqual([]);
    expect(await redis.client.exists('rq:job:again')).toBe(1);
  });

  it('changes nothing with dryRun, nor where the answer is no', async () => {
    await writeJobs(redis.client, ids('f', 3), { status: 'failed', age: OLD });
    await writeJobs(redis.client, ['orphan'], { age: OLD, place: 'nowhere' });
    const dry = await clean({ status: ['failed'], dryRun: true });
    expect([dry.ended, orphanIds(dry), dry.deleted]).toEqual([
      [{ queue: 'default', status: 'failed', count: 3 }],
      ['orphan'],
      false,
    ]);
    let asked: CleanReport | undefined;
    const refused = await clean({ status: ['failed'], confirm: found => ((asked = found), false) });
    expect([asked, refused]).toEqual([dry, dry]);
    expect(await redis.client.keys('rq:job:*')).toHaveLength(4);
  });
});

describe('Rq.clean of orphans', () => {
  it.each(['queued', 'started', 'finished', 'failed', 'deferred', 'scheduled', 'canceled', 'stopped'])(
    'deletes a job that is %s and that nothing leads to',
    async status => {
      await writeJobs(redis.client, ['orphan'], { status, age: OLD, place: 'nowhere' });
      await writeJobs(redis.client, ['waits'], { age: OLD });
      const { orphans } = await clean();
      expect(orphans).toEqual([
        { id: 'orphan', queue: 'default', status, at: expect.stringMatching(/^20\d\d-/) },
      ]);
      expect(await redis.client.keys('rq:job:*')).toEqual(['rq:job:waits']);
    },
  );

  it('deletes what a write to a deleted job left', async () => {
    await redis.client.hset('rq:job:rest', { meta: '{}' });
    await writeJobs(redis.client, ['waits']);
    expect(orphanIds(await clean())).toEqual(['rest']);
    expect(await redis.client.keys('rq:job:*')).toEqual(['rq:job:waits']);
  });

  const put = late(() => redis.client);
  it.each<[where: string, own: () => Promise<unknown>, fields?: Record<string, string>, status?: string]>([
    ['its list', () => put.rpush('rq:queue:default', 'job')],
    [
      'the list of another queue',
      () => put.multi().rpush('rq:queue:b', 'job').sadd('rq:queues', 'rq:queue:b').exec(),
    ],
    ['a Python worker’s list', () => put.rpush('rq:queue:default:intermediate', 'job')],
    [
      'a worker’s claims',
      () => put.multi().rpush('rq:worker:w:claims:default', 'job').sadd('rq:claimants:default', 'w').exec(),
    ],
    [
      'the started registry',
      () => put.zadd('rq:wip:default', 1, 'job:n1'),
      { execution_id: 'n1' },
      'started',
    ],
    ['a Python run', () => put.zadd('rq:executions:job', 1, 'e1'), {}, 'started'],
    ['a registry', () => put.zadd('rq:failed:default', 1, 'job'), {}, 'finished'],
    ['the schedule', () => put.zadd('rq:scheduled:default', 1, 'job'), {}, 'scheduled'],
    ['those that wait for a slot', () => put.zadd('rq:parked:k', 1, 'job'), { limit_key: 'k' }],
    [
      'a job’s dependents',
      () => put.sadd('rq:job:other:dependents', 'job'),
      { dependency_ids: '["other"]' },
      'deferred',
    ],
    [
      'those that are being told',
      () => put.sadd('rq:releasing:other', 'job'),
      { dependency_id: 'other' },
      'deferred',
    ],
    ['an expiry', () => put.expire('rq:job:job', 1000)],
    ['a status that we don’t know', () => put.hset('rq:job:job', 'status', 'rate_limited')],
    ['what has another type', () => put.multi().set('rq:deferred:default', 'x').exec(), {}, 'deferred'],
  ])('leaves alone a job that belongs to %s', async (_, own, fields = {}, status = 'queued') => {
    await writeJobs(redis.client, ['job'], { status, age: OLD, place: 'nowhere', fields });
    await own();
    const found = await clean({ queues: ['default', 'b'], dryRun: true }).catch((error: unknown) => error);
    expect(found).toSatisfy(
      report => report instanceof Error || orphanIds(report as CleanReport).length === 0,
    );
    expect(await redis.client.exists('rq:job:job')).toBe(1);
  });

  it('leaves alone a job that somebody changed within the grace', async () => {
    await writeJobs(redis.client, ['new'], { place: 'nowhere' });
    const fields = { last_heartbeat: new Date().toISOString() };
    await writeJobs(redis.client, ['heard'], { status: 'started', age: OLD, place: 'nowhere', fields });
    expect(orphanIds(await clean({ grace: '10m', dryRun: true }))).toEqual([]);
    expect(orphanIds(await clean({ grace: 0, dryRun: true }))).toEqual(['heard', 'new']);
  });

  it('deletes none that came back, or changed, between its two looks', async () => {
    await writeJobs(redis.client, ['back', 'changed', 'orphan'], { age: OLD, place: 'nowhere' });
    const { orphans } = await clean({
      confirm: async found => {
        expect(orphanIds(found)).toEqual(['back', 'changed', 'orphan']);
        await redis.client.rpush('rq:queue:default', 'back');
        await redis.client.hset('rq:job:changed', 'started_at', new Date().toISOString());
        return true;
      },
    });
    expect(orphans.map(({ id }) => id)).toEqual(['orphan']);
    expect(await redis.client.keys('rq:job:*')).toHaveLength(2);
  });

  it('takes ids without a job out of lists and registries, but for runs that may go on', async () => {
    await q.enqueue('f', [], { jobId: 'waits' });
    await redis.client.rpush('rq:queue:default', 'gone', 'gone', 'gone-too');
    for (const place of ['finished', 'failed', 'deferred', 'scheduled', 'canceled'])
      await redis.client.zadd(`rq:${place}:default`, '+inf', `${place}-gone`);
    await redis.client.zadd('rq:wip:default', 1, 'lost:n1', Date.now() / 1000 + 60, 'runs:n2');
    const dry = await clean({ dryRun: true });
    const { strayIds } = await clean();
    expect(strayIds).toEqual(dry.strayIds);
    expect(strayIds).toEqual([
      { queue: 'default', place: 'queued', ids: ['gone', 'gone-too'] },
      { queue: 'default', place: 'started', ids: ['lost:n1'] },
      ...['finished', 'failed', 'deferred', 'scheduled', 'canceled'].map(place => ({
        queue: 'default',
        place,
        ids: [`${place}-gone`],
      })),
    ]);
    expect(await q.getJobIds()).toEqual(['waits']);
    expect(await redis.client.zrange('rq:wip:default', '0', '-1')).toEqual(['runs:n2']);
    expect(await redis.client.keys('rq:failed:*')).toEqual([]);
  });

  it('leaves all alone with orphans: false', async () => {
    await writeJobs(redis.client, ['orphan'], { age: OLD, place: 'nowhere' });
    await redis.client.rpush('rq:queue:default', 'gone');
    expect(await clean({ orphans: false })).toMatchObject({ orphans: [], strayIds: [] });
    expect(await redis.client.exists('rq:job:orphan', 'rq:queue:default')).toBe(2);
  });

  it('loses no job of a worker at work', async () => {
    const functions = { f: () => new Promise(resolve => setTimeout(resolve, 1)) };
    const worker = new Worker('default', { connection: redis.url, functions, concurrency: 10, prefetch: 5 });
    const working = worker.work();
    const done = new AbortController();
    const jobs = await q.enqueueMany(
      Array.from({ length: 1000 }, () => ['f', [], { resultTtl: 60 }] as const),
    );
    const cleaning = (async () => {
      while (!done.signal.aborted)
        expect(await clean({ grace: '1ms' })).toMatchObject({ orphans: [], strayIds: [], ended: [] });
    })();
    await Promise.all(jobs.map(job => job.wait({ timeout: 20 })));
    done.abort();
    await cleaning;
    await worker.stop();
    await working;
    expect(await q.finishedRegistry.count()).toBe(1000);
  });

  it('ends between two steps where its signal is aborted', async () => {
    await writeJobs(redis.client, ids('f', 3000), { status: 'failed', age: OLD });
    const stop = new AbortController();
    const onProgress = (): void => stop.abort();
    const report = await clean({ status: ['failed'], orphans: false, signal: stop.signal, onProgress });
    expect(report.interrupted).toBe(true);
    const left = await q.failedRegistry.count();
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(3000);
    expect(await redis.client.keys('rq:job:*')).toHaveLength(left);
  });

  it.each<[string, object, RegExp]>([
    [
      'a status that no job ends with',
      { status: ['queued'] },
      /finished, failed, stopped, canceled.*"queued"/,
    ],
    ['an age that is no duration', { olderThan: 'long' }, /olderThan.*"long"/],
    ['a grace that is no duration', { grace: 'long' }, /grace.*"long"/],
    ['a queue name', { queues: ['a b'] }, /queue name.*"a b"/],
    ['an unknown option', { older: '1d' }, /"older".*olderThan/],
  ])('refuses %s', async (_, options, said) => {
    await expect(clean(options)).rejects.toThrow(said);
  });
});
