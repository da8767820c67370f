/** What Python RQ reads of ours: jobs in every state, registries, a worker that is busy. None raises, each value is right. */
import { hostname } from 'node:os';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { VERSION } from '../../lib/version.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { startWorker, type WorkerProcess } from '../support/worker-process.ts';
import { missing, Python, rq, VERSIONS } from './python.ts';

/** Every job of the scene and the state it is in. */
const STATES = {
  waiting: 'queued',
  'waiting-2': 'queued',
  running: 'started',
  finished: 'finished',
  theirs: 'finished',
  'in-group-1': 'finished',
  'in-group-2': 'finished',
  failed: 'failed',
  stopped: 'stopped',
  canceled: 'canceled',
  deferred: 'deferred',
  scheduled: 'scheduled',
} as const;
const IDS = Object.keys(STATES);
const REGISTRIES = [
  ['Started', ['running']],
  ['Finished', ['finished', 'in-group-1', 'in-group-2', 'theirs']],
  ['Failed', ['failed', 'stopped']],
  ['Canceled', ['canceled']],
  ['Deferred', ['deferred']],
  ['Scheduled', ['scheduled']],
] as const;
const OPTIONS = {
  timeout: '5m',
  ttl: '1h',
  resultTtl: -1,
  failureTtl: '1d',
  description: 'Grüße, 世界',
  meta: { by: 'node', tags: ['ä', null] },
  kwargs: { unit: 'kg' },
} as const;

/** Puts every kind of job there, with a Node worker that is in the middle of one. */
async function build(redis: RedisServer, python: Python, q: Queue): Promise<WorkerProcess> {
  const node = startWorker(redis.url, ['mixed'], '--name', 'node-1');
  await node.listening();
  await (await q.enqueue('add', [1, 2], { jobId: 'finished' })).wait({ timeout: '10s' });
  const failed = await q.enqueue('fail', ['on purpose'], { jobId: 'failed' });
  await expect(failed.wait({ timeout: '10s' })).rejects.toThrow('on purpose');
  const stopped = await q.enqueue('waitForAbort', [60_000], { jobId: 'stopped' });
  await vi.waitFor(() => stopped.stop(), { timeout: 10_000 });
  // a command that came before the reply with the job is found in Redis at the next renewal, after 10 s
  await expect(stopped.wait({ timeout: '20s' })).rejects.toThrow('stopped');
  await python.run(`
from datetime import timedelta
queue('mixed').enqueue('add', 3, 4, job_id='theirs', meta={'by': 'python'})
Group.create(connection=c, name='pair').enqueue_many(queue('mixed'),
    [Queue.prepare_data('add', args=(n, n), job_id=f'in-group-{n}') for n in (1, 2)])`);
  const running = await q.enqueue('waitForAbort', [60_000], { jobId: 'running' });
  await vi.waitFor(async () => expect(await running.getStatus()).toBe('started'), { timeout: 10_000 });
  await (await q.enqueue('add', [1, 2], { jobId: 'canceled' })).cancel();
  await q.enqueue('sum', [[1, 2.5, -3], { deep: [null] }], { jobId: 'waiting', ...OPTIONS });
  await q.enqueue('nothing', [], { jobId: 'waiting-2' });
  await python.run(`
queue('mixed').enqueue('add', 1, 2, job_id='deferred', depends_on='running')
queue('mixed').enqueue_in(timedelta(hours=1), 'add', 1, 2, job_id='scheduled')`);
  const hash = (): Promise<Record<string, string>> => redis.client.hgetall('rq:worker:node-1');
  const busy = { state: 'busy', current_job: 'running', successful_job_count: '4', failed_job_count: '2' };
  await vi.waitFor(async () => expect(await hash()).toMatchObject(busy), { timeout: 10_000 });
  return node;
}

describe.each(VERSIONS)('Python RQ %s reads', version => {
  const why = missing(version);
  let redis: RedisServer;
  let python: Python;
  let q: Queue;
  let node: WorkerProcess;

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    python = new Python(version, redis.port);
    q = new Queue('mixed', { connection: redis.url });
    // of its own older names for things
    await python.run('import warnings; warnings.simplefilter("ignore", DeprecationWarning)');
    node = await build(redis, python, q);
  }, 90_000);
  beforeEach(context => {
    if (why !== undefined) context.skip(why);
  });
  afterAll(async () => {
    await node?.end();
    await q?.close();
    await python?.close();
    await redis?.stop();
  });

  const counts = '2, 1 executing, 4 finished, 2 failed';
  const worker = String.raw`node-1 \(\S+ \d+\.\d+\.\d+\.\d+ \d+\)`;
  const jobs = String.raw`mixed\. jobs: 4 finished, 2 failed`;
  it.each<readonly [args: string, lines: readonly string[]]>([
    ['', [String.raw`mixed +\|██ ${counts}`, '1 queues, 2 jobs total', `${worker}: busy ${jobs}`]],
    ['--raw', [`queue mixed ${counts}`, `worker ${worker} busy ${jobs}`]],
    ['mixed --raw', [`queue mixed ${counts}`, `worker ${worker} busy ${jobs}`]],
    ['-Q', [String.raw`mixed +\|██ ${counts}`, '1 queues, 2 jobs total']],
    ['-Q --raw', [`queue mixed ${counts}`]],
    ['-W', [`${worker}: busy ${jobs}`, '1 workers, 1 queues']],
    ['-W --raw', [`worker ${worker} busy ${jobs}`]],
    ['-R', [String.raw`mixed +\|██ ${counts}`, String.raw`mixed: node-1 \(busy\)`]],
    ['-W -R', [String.raw`mixed: node-1 \(busy\)`]],
    ['-R --raw', [`queue mixed ${counts}`, String.raw`mixed: node-1 \(busy\)`]],
  ])('our queue and worker with rq info %s', async (args, lines) => {
    const { code, out } = await rq(version, redis.port, ['info', ...args.split(' ').filter(Boolean)]);
    expect({ code, out }).toMatchObject({ code: 0, out: expect.not.stringContaining('Traceback') });
    for (const line of lines) expect(out).toMatch(new RegExp(`^${line}$`, 'm'));
  });

  it('our worker among all workers, and counts it', async () => {
    const seen = await python.run(`
q = queue('mixed')
key = 'rq:worker:node-1'
out = dict(all=[w.name for w in Worker.all(connection=c)], here=[w.name for w in Worker.all(queue=q)],
    count=Worker.count(connection=c), count_here=Worker.count(queue=q), keys=Worker.all_keys(connection=c),
    elsewhere=Worker.count(queue=queue('other')), found=Worker.find_by_key(key, connection=c).name)`);
    expect(seen).toEqual({
      all: ['node-1'],
      here: ['node-1'],
      count: 1,
      count_here: 1,
      keys: ['rq:worker:node-1'],
      elsewhere: 0,
      found: 'node-1',
    });
  });

  it('what our worker says of itself', async () => {
    const hash = await redis.client.hgetall('rq:worker:node-1');
    const seen = await python.run<Record<string, unknown>>(`
w = Worker.all(connection=c)[0]
w.refresh()
out = dict(hostname=w.hostname, ip_address=w.ip_address, pid=w.pid, version=w.version, python_version=w.python_version,
    state=w.get_state(), birth=time_of(w.birth_date), finished=w.successful_job_count, failed=w.failed_job_count,
    working=w.total_working_time, queues=w.queue_names(), heard=(datetime.now(timezone.utc) - w.last_heartbeat).total_seconds(),
    death=w.death_date, stopping=w.shutdown_requested_date, current=w.get_current_job().id, id=w.get_current_job_id())`);
    expect(seen).toMatchObject({
      hostname: hostname(),
      ip_address: hash['ip_address'],
      pid: node.pid,
      version: VERSION,
      python_version: `node ${process.versions.node}`,
      state: 'busy',
      birth: hash['birth'],
      finished: 4,
      failed: 2,
      queues: ['mixed'],
      death: null,
      stopping: null,
      current: 'running',
      id: 'running',
    });
    expect(seen['working']).toBeGreaterThan(0);
    expect(seen['working']).toBeLessThan(30);
    // a heartbeat every 10 s
    expect(seen['heard']).toBeLessThan(15);
  });

  it('our worker that is idle, and then gone', async () => {
    const idle = startWorker(redis.url, ['quiet'], '--name', 'node-2');
    try {
      await idle.listening();
      const seen = (): Promise<unknown> =>
        python.run(`
w = Worker.find_by_key('rq:worker:node-2', connection=c)
out = [w.get_state(), w.get_current_job(), w.queue_names(), w.death_date is not None, Worker.count(queue=queue('quiet'))]`);
      const lives = ['idle', null, ['quiet'], false, 1];
      await vi.waitFor(async () => expect(await seen()).toEqual(lives), { timeout: 15_000 });
      expect(await idle.end('SIGTERM')).toMatchObject({ code: 0 });
      expect(await seen()).toEqual(['idle', null, ['quiet'], true, 0]);
    } finally {
      await idle.end();
    }
  });

  it.each(REGISTRIES)('the %s registry', async (name, ids) => {
    const seen = await python.run(`
registry = ${name}JobRegistry('mixed', connection=c, serializer=JSONSerializer)
out = dict(count=registry.count, length=len(registry), raw=registry.get_job_count(cleanup=False),
    ids=sorted(registry.get_job_ids()), within=all(i in registry for i in registry.get_job_ids()),
    strange='nobody' in registry)`);
    const count = ids.length;
    expect(seen).toEqual({ count, length: count, raw: count, ids, within: true, strange: false });
  });

  it('our run as a job and an execution, until when it is taken for alive', async () => {
    const [[[id, execution]], score] = await python.run<[[[string, string]], number]>(`
registry = queue('mixed').started_job_registry
members = registry.get_job_and_execution_ids()
out = [members, c.zscore(registry.key, ':'.join(members[0])) - datetime.now(timezone.utc).timestamp()]`);
    expect(id).toBe('running');
    expect(execution).toMatch(/^n[\da-z]{31}$/);
    // a lease of 30 s that is renewed every 10 s, and 60 s more
    expect(score).toBeGreaterThan(75);
    expect(score).toBeLessThanOrEqual(90);
  });

  it.each(IDS)('the job %s with Job.fetch, whose fields are those in Redis', async id => {
    const hash = await redis.client.hgetall(`rq:job:${id}`);
    const seen = await python.run('out = view(job(id))', { id });
    expect(seen).toMatchObject({
      id,
      status: STATES[id as keyof typeof STATES],
      origin: 'mixed',
      description: hash['description'],
      worker: hash['worker_name'] || null,
      created_at: hash['created_at'],
      enqueued_at: hash['enqueued_at'] ?? '',
      started_at: hash['started_at'] ?? '',
      ended_at: hash['ended_at'] ?? '',
    });
  });

  it('every option of ours', async () => {
    expect(await python.run('out = view(job("waiting"))')).toMatchObject({
      func: 'sum',
      args: [[1, 2.5, -3], { deep: [null] }],
      kwargs: { unit: 'kg' },
      description: 'Grüße, 世界',
      meta: { by: 'node', tags: ['ä', null] },
      timeout: 300,
      ttl: 3600,
      result_ttl: -1,
      failure_ttl: 86_400,
      worker: null,
    });
    const ttl = await redis.client.ttl('rq:job:waiting');
    expect(ttl).toBeGreaterThan(3500);
  });

  it('what we leave out as its own defaults', async () => {
    expect(await python.run('out = view(job("waiting-2"))')).toMatchObject({
      func: 'nothing',
      args: [],
      kwargs: {},
      description: 'nothing()',
      meta: {},
      timeout: 180,
      ttl: null,
      result_ttl: null,
      failure_ttl: null,
    });
  });

  it('all jobs at once, in order, with nothing for one that is gone', async () => {
    const all = await python.run<({ id: string; status: string } | null)[]>(
      `out = [it and view(it) for it in Job.fetch_many(['gone', *ids], connection=c, serializer=JSONSerializer)]`,
      { ids: IDS },
    );
    expect(all.map(job => job && [job.id, job.status])).toEqual([null, ...Object.entries(STATES)]);
  });

  it('the state of each job by the question for it', async () => {
    const seen = await python.run<Record<string, string[]>>(
      `
kinds = 'queued started finished failed stopped canceled deferred scheduled'.split()
out = {id: [kind for kind in kinds if getattr(job(id), f'is_{kind}')] + [job(id).get_status().value] for id in ids}`,
      { ids: IDS },
    );
    expect(seen).toEqual(Object.fromEntries(Object.entries(STATES).map(([id, s]) => [id, [s, s]])));
  });

  it('no executions and no results in streams of jobs of ours', async () => {
    const ours = IDS.filter(id => !['theirs', 'in-group-1', 'in-group-2'].includes(id));
    const seen = await python.run(
      `out = [[len(job(id).get_executions()), Result.all(job(id), serializer=JSONSerializer), job(id).results(),
        job(id).latest_result(), job(id).return_value(), Result.count(job(id))] for id in ids]`,
      { ids: ours },
    );
    expect(seen).toEqual(ours.map(() => [0, [], [], null, null, 0]));
  });

  it('the results and errors of our jobs in their hashes', async () => {
    const seen = await python.run<string[]>(
      `out = [job('finished').result, job('failed').exc_info, job('stopped').exc_info, job('running').result]`,
    );
    expect(seen).toEqual([
      3,
      expect.stringMatching(/^RangeError: on purpose\n/),
      expect.stringContaining('stop'),
      null,
    ]);
  });

  it('the result of its own job that our worker ran, from the stream', async () => {
    const run = (await redis.client.hget('rq:job:theirs', 'execution_id')) as string;
    const seen = await python.run<Record<string, unknown>[]>(`
out = [dict(type=it.type.name, value=it.return_value, worker=it.worker_name, execution=it.execution_id,
    took=(it.execution_ended_at - it.execution_started_at).total_seconds(), error=it.exc_string)
    for it in Result.all(job('theirs'), serializer=JSONSerializer)]`);
    const base = { type: 'SUCCESSFUL', value: 7, worker: 'node-1', execution: run, error: null };
    expect(seen).toEqual([{ ...base, took: expect.any(Number) }]);
    expect(seen[0]?.['took']).toBeGreaterThanOrEqual(0);
    expect(seen[0]?.['took']).toBeLessThan(5);
    expect(await python.run(`out = [job('theirs').return_value(), job('theirs').result]`)).toEqual([7, 7]);
  });

  it('the queue, its jobs and their places', async () => {
    const seen = await python.run(`
q = queue('mixed')
out = dict(names=[it.name for it in Queue.all(connection=c) if it.count], ids=q.get_job_ids(), job_ids=q.job_ids,
    second=q.get_job_ids(1, 1), jobs=[it.id for it in q.jobs], count=q.count, empty=q.is_empty(),
    places=[job(id).get_position() for id in ('waiting', 'waiting-2', 'running', 'finished')],
    one=q.fetch_job('waiting').id, none=q.fetch_job('gone'), aside=q.intermediate_queue.get_job_ids())`);
    expect(seen).toEqual({
      names: ['mixed'],
      ids: ['waiting', 'waiting-2'],
      job_ids: ['waiting', 'waiting-2'],
      second: ['waiting-2'],
      jobs: ['waiting', 'waiting-2'],
      count: 2,
      empty: false,
      places: [0, 1, null, null],
      one: 'waiting',
      none: null,
      aside: [],
    });
  });

  it('a dependency on our job', async () => {
    const seen = await python.run(`
it = job('deferred')
out = [it.dependency.id, it.dependency_ids, [d.id for d in it.fetch_dependencies()], it.dependencies_are_met(),
    job('running').dependent_ids]`);
    expect(seen).toEqual(['running', ['running'], ['running'], false, ['deferred']]);
  });

  it('its group, whose jobs our worker ran', async () => {
    const seen = await python.run(`
out = [[it.name for it in Group.all(connection=c)], sorted(it.id for it in Group.fetch('pair', c).get_jobs()),
    [[it.group_id, it.result] for it in map(job, ('in-group-1', 'in-group-2'))]]`);
    const jobsOf = [
      ['pair', 2],
      ['pair', 4],
    ];
    expect(seen).toEqual([['pair'], ['in-group-1', 'in-group-2'], jobsOf]);
  });
});
