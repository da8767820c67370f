/**
 * rq-dashboard on queues of ours: its JSON endpoints, its pages and what it does to jobs. With the current RQ only. Two
 * of its endpoints fail with Python's own jobs as well, so they are left out here: the details of a job that has
 * dependencies (it decodes what is text by now), and the list of workers while one is busy (it reads the job as a pickle,
 * whatever `--json` says).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { VERSION } from '../../lib/version.ts';
import { freePort, startRedis, type RedisServer } from '../support/redis.ts';
import { startWorker, type WorkerProcess } from '../support/worker-process.ts';
import { missing, Python, VERSIONS } from './python.ts';

const CURRENT = VERSIONS[0] ?? '';
const PROGRAM = fileURLToPath(new URL(`../../.venv/dashboard-${CURRENT}/bin/rq-dashboard`, import.meta.url));

/** Why these specs can't run here; `undefined` where they can. With `CI=true` they must. */
function whyNot(): string | undefined {
  const why = missing(CURRENT);
  if (why !== undefined || existsSync(PROGRAM)) return why;
  const none = `rq-dashboard for Python RQ ${CURRENT} is not installed (scripts/setup installs it where there is a Python 3)`;
  if (process.env['CI'] === 'true') throw new Error(none);
  return none;
}

/** Ids of the jobs that each registry holds. */
const REGISTRIES = {
  queued: ['waiting', 'waiting-2'],
  started: ['running'],
  finished: ['finished', 'theirs'],
  failed: ['failed', 'stopped'],
  canceled: ['canceled'],
  deferred: ['deferred'],
  scheduled: ['scheduled'],
} as const;
const DETAILED = Object.values(REGISTRIES)
  .flat()
  .filter(id => id !== 'deferred');

describe(`rq-dashboard with Python RQ ${CURRENT} and --json`, () => {
  const why = whyNot();
  let redis: RedisServer;
  let python: Python;
  let q: Queue;
  let node: WorkerProcess;
  let dashboard: ChildProcess;
  let said = '';
  let address = '';

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    python = new Python(CURRENT, redis.port);
    q = new Queue('mixed', { connection: redis.url });
    const port = await freePort();
    address = `http://127.0.0.1:${port}/0`;
    const args = ['--json', '--bind', '127.0.0.1', '--port', String(port), '--redis-url', redis.url];
    dashboard = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [dashboard.stdout, dashboard.stderr])
      stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    node = startWorker(redis.url, ['mixed'], '--name', 'node-1');
    await node.listening();
    await fill();
    await vi.waitFor(() => get('data/queues.json'), { timeout: 20_000, interval: 100 });
  }, 90_000);
  beforeEach(context => {
    if (why !== undefined) context.skip(why);
  });
  afterAll(async () => {
    if (dashboard !== undefined && dashboard.exitCode === null) {
      dashboard.kill('SIGKILL');
      await once(dashboard, 'close');
    }
    await node?.end();
    await q?.close();
    await python?.close();
    await redis?.stop();
  });

  /** Puts a job in every state, with a Node worker that is in the middle of one. */
  async function fill(): Promise<void> {
    await (await q.enqueue('add', [1, 2], { jobId: 'finished', meta: { a: 'ä' } })).wait({ timeout: '10s' });
    const failed = await q.enqueue('fail', ['on purpose'], { jobId: 'failed' });
    await expect(failed.wait({ timeout: '10s' })).rejects.toThrow('on purpose');
    const stopped = await q.enqueue('waitForAbort', [60_000], { jobId: 'stopped' });
    await vi.waitFor(() => stopped.stop(), { timeout: 10_000 });
    // a command that came before the reply with the job is found in Redis at the next renewal, after 10 s
    await expect(stopped.wait({ timeout: '20s' })).rejects.toThrow('stopped');
    await python.run('queue("mixed").enqueue("add", 3, 4, job_id="theirs")');
    const running = await q.enqueue('waitForAbort', [60_000], { jobId: 'running' });
    await (await q.enqueue('add', [1, 2], { jobId: 'canceled' })).cancel();
    await q.enqueue('sum', [[1, 2]], {
      jobId: 'waiting',
      description: '<b>Grüße\u0007</b>',
      meta: { tag: [1] },
    });
    await q.enqueue('nothing', [], { jobId: 'waiting-2' });
    await python.run(`
queue('mixed').enqueue('add', 1, 2, job_id='deferred', depends_on='running')
queue('mixed').enqueue_in(timedelta(hours=1), 'add', 1, 2, job_id='scheduled')`);
    await vi.waitFor(async () => expect(await running.getStatus()).toBe('started'), { timeout: 10_000 });
    const busy = { state: 'busy', current_job: 'running' };
    const hash = (): Promise<Record<string, string>> => redis.client.hgetall('rq:worker:node-1');
    await vi.waitFor(async () => expect(await hash()).toMatchObject(busy), { timeout: 10_000 });
  }

  async function get(path: string): Promise<Response> {
    const response = await fetch(`${address}/${path}`);
    expect({ path, status: response.status, said }).toMatchObject({ path, status: 200 });
    return response;
  }
  const json = async <T>(path: string): Promise<T> => (await (await get(path)).json()) as T;

  it('lists our queue and counts its jobs', async () => {
    const { queues } = await json<{ queues: unknown[] }>('data/queues.json');
    expect(queues).toMatchObject([
      {
        name: 'mixed',
        count: 2,
        started_job_registry_count: 1,
        finished_job_registry_count: 2,
        failed_job_registry_count: 2,
        canceled_job_registry_count: 1,
        deferred_job_registry_count: 1,
        scheduled_job_registry_count: 1,
      },
    ]);
  });

  it.each(Object.entries(REGISTRIES))(
    'lists the jobs that are %s, forwards and backwards',
    async (name, ids) => {
      for (const order of ['asc', 'dsc']) {
        const path = `data/jobs/mixed/${name}/8/${order}/1.json`;
        const { jobs } = await json<{ jobs: { id: string }[] }>(path);
        expect(jobs.map(({ id }) => id).toSorted()).toEqual([...ids]);
      }
    },
  );

  it.each(DETAILED)('shows the job %s', async id => {
    const hash = await redis.client.hgetall(`rq:job:${id}`);
    const time = (at: string | undefined): number | null => (at ? Date.parse(at) : null);
    const shown = await json<Record<string, string>>(`data/job/${id}.json`);
    expect(shown).toMatchObject({ id, origin: 'mixed', status: hash['status'] });
    expect(shown['description']).toBe(hash['description']);
    for (const name of ['created_at', 'enqueued_at', 'started_at', 'ended_at'])
      expect(time(shown[name])).toBe(time(hash[name]));
    expect(JSON.parse(shown['metadata'] ?? '')).toEqual(JSON.parse(hash['meta'] ?? '{}'));
  });

  it('shows the result of its own language’s job that our worker ran', async () => {
    expect(await json('data/job/theirs.json')).toMatchObject({ result: 7, exc_info: null });
  });

  it('shows no results and errors of our jobs, since it looks for them in streams alone', async () => {
    expect(await json('data/job/finished.json')).toMatchObject({ result: null, exc_info: null });
    expect(await json('data/job/failed.json')).toMatchObject({ result: null, exc_info: null });
  });

  it.each([
    '',
    'view/queues',
    'view/workers',
    'view/jobs',
    ...Object.keys(REGISTRIES).map(name => `view/jobs/mixed/${name}/8/asc/1`),
    ...DETAILED.map(id => `view/job/${id}`),
  ])('has the page /%s', async path => {
    expect(await (await get(path)).text()).toContain('<!DOCTYPE html>');
  });

  it('requeues and deletes our jobs', async () => {
    const post = async (path: string): Promise<unknown> => {
      const response = await fetch(`${address.slice(0, -2)}/${path}`, { method: 'POST' });
      return [response.status, await response.json()];
    };
    expect(await post('job/failed/requeue')).toEqual([200, { status: 'OK' }]);
    expect(await q.getJobIds()).toEqual(['waiting', 'waiting-2', 'failed']);
    expect(await post('job/waiting-2/delete')).toEqual([200, { status: 'OK' }]);
    expect(await q.getJobIds()).toEqual(['waiting', 'failed']);
    expect(await q.fetchJob('waiting-2')).toBeUndefined();
    // what it queued is run
    await (await q.fetchJob('running'))?.cancel();
    const again = await q.fetchJob('failed');
    await expect(again?.wait({ timeout: '10s' })).rejects.toThrow('on purpose');
  });

  it('lists our worker that is idle', async () => {
    await (await q.fetchJob('running'))?.cancel();
    const state = (): Promise<string | null> => redis.client.hget('rq:worker:node-1', 'state');
    await vi.waitFor(async () => expect(await state()).toBe('idle'), { timeout: 15_000 });
    expect(await json('data/workers.json')).toMatchObject({
      workers: [
        {
          name: 'node-1',
          pid: node.pid,
          queues: ['mixed'],
          state: 'idle',
          current_job: 'idle',
          version: VERSION,
          python_version: `node ${process.versions.node}`,
        },
      ],
    });
  });
});
