/** A mixed fleet on one queue: workers and producers of both languages, and workers of both killed amid jobs. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { useFolder } from '../support/folder.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { WorkerProcess } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';
import { useBoth } from './both.ts';
import { missing, Python, PythonWorker, VERSIONS } from './python.ts';

const [VERSION = ''] = VERSIONS;
const JOBS = 2000;
const CHUNK = 50;
const KILLS = [
  'Node',
  'Python',
  'Node',
  'Python',
  'Node',
  'Python',
  'Node',
  'Python',
  'Node',
  'Python',
] as const;
/** `FLEET_SEED` repeats what was drawn: not what the machines made of it. */
const SEED = Number(process.env['FLEET_SEED'] ?? Date.now() % 1_000_000_000);

/** The function of tasks.py, in its words: seconds. */
const TASKS = `
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
export const ledger = async (file, id, seconds) => {
  appendFileSync(file, 'start ' + id + ' node\\n');
  await sleep(seconds * 1000);
  appendFileSync(file, 'end ' + id + ' node\\n');
};
`;

interface Member {
  readonly kind: (typeof KILLS)[number];
  readonly name: string;
  readonly slots: number;
  readonly worker: WorkerProcess | PythonWorker;
}

describe(`workers and producers of Node and of Python RQ ${VERSION}, with workers killed`, () => {
  const why = missing(VERSION);
  const folder = useFolder();
  let redis: RedisServer;
  let q: Queue;
  const draw = generator(SEED);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(draw() * all.length)] as T;

  const alive: Member[] = [];
  const killed: Member[] = [];
  const acknowledged = new Set<string>();
  /** Ids that a Python worker died with in between: among the runs, and not yet out of RQ's intermediate list. */
  const between = new Set<string>();
  const places = new Map<string, string[]>();

  const note = (id: string, place: string): unknown => places.set(id, [...(places.get(id) ?? []), place]);
  const lines = (): string[][] => {
    const text = readFileSync(folder.of('ledger'), { encoding: 'utf8', flag: 'a+' });
    return text.split('\n').flatMap(line => (line === '' ? [] : [line.split(' ')]));
  };
  const ended = (): Set<string> =>
    new Set(lines().flatMap(([what, id = '']) => (what === 'end' ? [id] : [])));
  const began = (by: string): number =>
    lines().filter(([what, , who]) => what === 'start' && who === by).length;

  function start(kind: Member['kind']): void {
    const name = `${kind}-${alive.length + killed.length}`;
    if (kind === 'Node') {
      const slots = pick([1, 2, 3, 5]);
      const args = ['fleet', '--url', redis.url, '--functions', `tasks=${folder.of('tasks.mjs')}`];
      const worker = new WorkerProcess([
        ...args,
        '--name',
        name,
        '--concurrency',
        String(slots),
        '--lease',
        '3',
      ]);
      alive.push({ kind, name, slots, worker });
    } else {
      // it waits 1 s at most for a job, and so sweeps every second or two
      const quick = ['--worker-ttl', '16', '--maintenance-interval', '1', '--job-monitoring-interval', '1'];
      const worker = new PythonWorker(VERSION, redis.port, ['fleet', '--name', name, ...quick]);
      alive.push({ kind, name, slots: 1, worker });
    }
  }

  /** All are at work before there is any: or those of the language that is faster to its feet do most of it. */
  async function listening(): Promise<void> {
    const all = (): boolean => alive.every(one => /Listening on/.test(said(one)));
    await vi.waitFor(() => expect(all()).toBe(true), { timeout: 30_000 });
  }

  async function kill(kind: Member['kind']): Promise<void> {
    const ready = (): Member[] => alive.filter(one => one.kind === kind && /Listening on/.test(said(one)));
    await vi.waitFor(() => expect(ready().length).toBeGreaterThan(0), 30_000);
    const member = pick(ready());
    alive.splice(alive.indexOf(member), 1);
    killed.push(member);
    if (kind === 'Python') await killHorse(member.worker.child.pid as number);
    await member.worker.end('SIGKILL');
    if (kind === 'Python') {
      const { wip, intermediate } = await runs();
      for (const { id, worker } of wip)
        if (worker === member.name && intermediate.includes(id)) between.add(id);
    }
    start(kind);
  }

  async function runs() {
    const members = await redis.client.zrange('rq:wip:fleet', '0', '-1');
    const intermediate = await redis.client.lrange('rq:queue:fleet:intermediate', 0, -1);
    const wip = await Promise.all(
      members.map(async member => {
        const [id = '', execution = ''] = member.split(':');
        const worker = await redis.client.hget(`rq:execution:${id}:${execution}`, 'worker_name');
        return { member, id, worker };
      }),
    );
    return { wip, intermediate };
  }

  /**
   * What is left when all else is done hangs on times of RQ's that no option shortens: 61 s at least to the end of a
   * dead worker's run, 60 s in the intermediate list, 15 minutes for the lock of a worker that died while it swept.
   * These, and only of the dead, are put back as if they had passed. Who then sweeps, Python or we, is open.
   */
  async function letTimePass(): Promise<void> {
    const { wip, intermediate } = await runs();
    const dead = new Set<string | null>(killed.map(({ name }) => name));
    if ((await q.count()) > 0 || wip.some(({ worker }) => !dead.has(worker))) return;
    for (const { member } of wip) await redis.client.zadd('rq:wip:fleet', 1, member);
    for (const key of await redis.client.keys('rq:queue:fleet:intermediate:first_seen:*')) {
      const stuck = intermediate.includes(key.slice(key.lastIndexOf(':') + 1));
      if (stuck) await redis.client.set(key, '1000000000.0');
      // it lasts a day, and would condemn the same job at its next passage
      else await redis.client.del(key);
    }
    const left = await redis.client.ttl('rq:clean_registries:fleet');
    if (left > 0 && left < 895) await redis.client.del('rq:clean_registries:fleet');
  }

  async function atRest(): Promise<void> {
    await letTimePass();
    const keys = await redis.client.keys('rq:worker:*:claims:*');
    const { wip, intermediate } = await runs();
    const waiting = [await q.count(), await q.scheduledRegistry.count()];
    expect([wip, intermediate, keys, waiting]).toEqual([[], [], [], [0, 0]]);
  }

  async function produce(ids: readonly string[], add: (ids: readonly string[]) => unknown) {
    for (let i = 0; i < ids.length; i += CHUNK) {
      const some = ids.slice(i, i + CHUNK);
      await vi.waitFor(async () => expect(await q.count()).toBeLessThan(400), { timeout: 30_000 });
      await add(some);
      for (const id of some) acknowledged.add(id);
    }
  }

  const reached = (jobs: number): Promise<void> =>
    vi.waitFor(() => expect(ended().size).toBeGreaterThan(jobs), { timeout: 30_000 });

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    q = new Queue('fleet', { connection: redis.url });
    const file = folder.of('ledger');
    await folder.write('tasks.mjs', TASKS);
    const python = new Python(VERSION, redis.port);
    try {
      for (const kind of ['Node', 'Node', 'Node', 'Python', 'Python', 'Python', 'Python'] as const)
        start(kind);
      await listening();
      const ids = (kind: string): string[] => Array.from({ length: JOBS / 2 }, (_, i) => `${kind}-${i}`);
      const span = (): number => Number((draw() * 0.08).toFixed(3));
      const produced = Promise.all([
        produce(ids('n'), some =>
          q.enqueueMany(
            some.map(id => ['tasks.ledger', [file, id, span()], { jobId: id, resultTtl: -1 }] as const),
          ),
        ),
        // every fourth has a plan for retries
        produce(ids('p'), some =>
          python.run(
            `for i, (id, span) in enumerate(some):
               queue('fleet').enqueue('tasks.ledger', file, id, span, job_id=id, result_ttl=-1,
                                      retry=Retry(max=3) if i % 4 == 0 else None)`,
            { file, some: some.map(id => [id, span()]) },
          ),
        ),
      ]);
      const marks = KILLS.map(() => 50 + Math.floor(draw() * (JOBS - 250))).toSorted((a, b) => a - b);
      const victims = KILLS.map(kind => ({ kind, at: draw() })).toSorted((a, b) => a.at - b.at);
      for (const [i, { kind }] of victims.entries()) {
        await reached(marks[i] ?? 0);
        await kill(kind);
      }
      await produced;
      await vi.waitFor(atRest, { timeout: 60_000, interval: 250 });
      for (const name of ['wip', 'finished', 'failed', 'scheduled', 'deferred', 'canceled']) {
        for (const id of await redis.client.zrange(`rq:${name}:fleet`, '0', '-1')) note(id, name);
      }
    } catch (error) {
      throw new Error(`seed ${SEED}: ${String(error)}`, { cause: error });
    } finally {
      await python.close();
    }
  }, 180_000);

  beforeEach(context => {
    if (why !== undefined) context.skip(why);
    context.onTestFailed(
      () => void process.stderr.write(`FLEET_SEED=${SEED}, between: ${[...between].join()}\n`),
    );
  });

  afterAll(async () => {
    for (const { kind, worker } of alive) {
      if (kind === 'Python') await killHorse(worker.child.pid as number);
      await worker.end('SIGKILL');
    }
    await q?.close();
    await redis?.stop();
  });

  it('lose no job whose enqueuing was acknowledged', () => {
    expect(acknowledged.size).toBe(JOBS);
    expect([...acknowledged].filter(id => !places.has(id))).toEqual([]);
    expect([...places.keys()].filter(id => !acknowledged.has(id))).toEqual([]);
  });

  it('leave each job in one place, finished or failed', () => {
    // RQ can fail a job that finished: its id stayed in the intermediate list when its worker died after the fork
    const sure = [...places].filter(([id]) => !between.has(id));
    const wrong = sure.filter(([, at]) => at.length !== 1 || !['finished', 'failed'].includes(at[0] ?? ''));
    expect(wrong).toEqual([]);
  });

  it('leave each job with the status of its place', async () => {
    const status = await Promise.all(
      [...places].map(async ([id]) => redis.client.hget(`rq:job:${id}`, 'status')),
    );
    const wrong = [...places].filter(([, at], i) => !at.includes(status[i] ?? 'gone'));
    expect(wrong).toEqual([]);
  });

  it('fail only what a Python worker died with, for RQ’s reasons', async () => {
    const failed = [...places].flatMap(([id, at]) => (at.includes('failed') ? [id] : []));
    expect(failed.length).toBeLessThanOrEqual(killed.filter(({ kind }) => kind === 'Python').length);
    for (const id of failed) {
      const job = await q.fetchJob(id);
      await expect(job?.result).rejects.toMatchObject({
        name: 'JobFailedError',
        remote: { stack: expect.stringMatching(/AbandonedJobError|stuck in intermediate queue/) as string },
      });
    }
  });

  it('run what they finished to its end, as the ledger says', () => {
    const end = ended();
    const finished = [...places].flatMap(([id, at]) => (at.includes('finished') ? [id] : []));
    expect(finished.length).toBeGreaterThanOrEqual(JOBS - KILLS.length);
    expect(finished.filter(id => !end.has(id))).toEqual([]);
  });

  it('run again only what was cut off', () => {
    const cut = killed.reduce((sum, { kind, slots }) => sum + (kind === 'Node' ? slots : 2), 0);
    const all = lines().filter(([what]) => what === 'start');
    expect(killed).toHaveLength(KILLS.length);
    const again = all.length - new Set(all.map(([, id]) => id)).size;
    expect(again).toBeGreaterThan(0);
    expect(again).toBeLessThanOrEqual(cut);
  });

  it('share the work', () => {
    expect(began('node')).toBeGreaterThan(JOBS / 20);
    expect(began('python')).toBeGreaterThan(JOBS / 20);
  });

  it('all stay at work but those that were killed', () => {
    const gone = alive.filter(
      ({ worker: { child } }) => child.exitCode !== null || child.signalCode !== null,
    );
    expect(gone.map(one => `${one.name}: ${said(one)}`)).toEqual([]);
  });
});

describe(`a job that a worker of Python RQ ${VERSION} died with`, () => {
  const { redis, python, q, work } = useBoth(VERSION);
  const workers = useWorkerProcesses(redis);
  const DIED = `queue().enqueue('stubborn', 600000, job_id='died', retry=Retry(max=2) if begun else None)
worker = SimpleWorker([queue()], connection=c, serializer=JSONSerializer)
taken, _ = Queue.dequeue_any([queue()], None, connection=c, serializer=JSONSerializer)
worker.prepare_execution(taken)
if begun: worker.prepare_job_execution(taken, True)`;
  const pastItsScore = async (): Promise<void> => {
    for (const member of await redis.client.zrange('rq:wip:default', '0', '-1'))
      await redis.client.zadd('rq:wip:default', '1', member);
  };

  it('is not lost where the Node worker of its retry dies too', async () => {
    await python.run(DIED, { begun: true });
    await pastItsScore();
    const next = workers.start(['default'], '--lease', '3');
    await vi.waitFor(
      async () => expect(await redis.client.hget('rq:job:died', 'execution_id')).toMatch(/^n/),
      20_000,
    );
    await next.end('SIGKILL');
    await pastItsScore();
    await redis.client.del('rq:janitor:default');
    await work({ functions: { stubborn: () => 'ran' } });
    expect(await (await q.fetchJob('died'))?.result).toBe('ran');
  });

  it('is failed by our janitor, as by RQ’s sweep, where the worker died before the job’s own process began', async () => {
    await python.run(DIED, { begun: false });
    await pastItsScore();
    await work();
    expect(await q.failedRegistry.getJobIds()).toEqual(['died']);
  });
});

function said({ worker }: Member): string {
  return worker instanceof WorkerProcess ? worker.all : worker.out;
}

/** A Python worker's job runs in a process group of its own: both die, and the worker forks none meanwhile. */
async function killHorse(worker: number): Promise<void> {
  process.kill(worker, 'SIGSTOP');
  const processes = (): string[][] =>
    execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' })
      .split('\n')
      .map(line => line.trim().split(/\s+/));
  const stopped = (): boolean =>
    processes().some(([pid, , stat]) => pid === String(worker) && stat?.startsWith('T'));
  await vi.waitFor(() => expect(stopped()).toBe(true), { timeout: 5000, interval: 1 });
  for (const [pid, parent, stat] of processes()) {
    if (parent === String(worker) && !stat?.startsWith('Z')) process.kill(Number(pid), 'SIGKILL');
  }
}

/** The same numbers from 0 to 1 for the same seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}
