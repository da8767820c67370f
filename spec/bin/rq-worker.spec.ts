import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { Queue, VERSION } from '../../lib/index.ts';
import { useFolder } from '../support/folder.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { PROGRAM, TASKS, WorkerProcess } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';

const redis = useRedis();
const queue = useQueue(redis);
const folder = useFolder();
const { start, runs, keep } = useWorkerProcesses(redis);

/** The lines on standard output, without their times. */
function lines(worker: WorkerProcess): string[] {
  return worker.out
    .trimEnd()
    .split('\n')
    .map(line => {
      expect(line).toMatch(/^([01]\d|2[0-3]):[0-5]\d:[0-5]\d /);
      return line.slice(9);
    });
}

/** Enqueues a job that notes itself in a file; answers the ids in the order in which jobs began. */
function ledger(name: string): {
  add: (to: string, id: string, ms?: number) => Promise<unknown>;
  lines: () => Promise<string[]>;
  started: () => Promise<string[]>;
} {
  const file = folder.of(name);
  const read = async (): Promise<string[]> => (await readFile(file, 'utf8')).trimEnd().split('\n');
  return {
    async add(to, id, ms = 0) {
      await using target = new Queue(to, { connection: redis.url });
      return await target.enqueue('ledger', [file, id, ms]);
    },
    lines: read,
    started: async () =>
      (await read()).filter(line => line.startsWith('start ')).map(line => line.split(' ')[1] ?? ''),
  };
}

/** Seconds from a job's end to that of what is kept of it: -1 where that is never, -2 where nothing is. */
async function lifetime(id: string): Promise<number> {
  const at = Number(await redis.client.call('PEXPIRETIME', `rq:job:${id}`));
  const ended = Date.parse((await redis.client.hget(`rq:job:${id}`, 'ended_at')) ?? '');
  return at < 0 ? at : Math.round((at - ended) / 1000);
}

describe('rq-worker', () => {
  it('says what it does in RQ’s words', async () => {
    const job = await queue.enqueue('sum', [[42, 43]]);
    const worker = await runs([], '--burst', '--name', 'w1');
    expect(lines(worker).slice(0, 7)).toEqual([
      `Worker rq:worker:w1: started, version ${VERSION}`,
      'Subscribing to channel rq:pubsub:w1',
      '*** Listening on default...',
      'Cleaning registries for queue: default',
      `default: sum([42, 43]) (${job.id})`,
      `default: Job OK (${job.id})`,
      'Result is kept for 500 seconds',
    ]);
    expect(worker.err).toBe('');
  });

  it('stores the result, and keeps it for 500 seconds', async () => {
    const job = await queue.enqueue('sum', [[42, 43]]);
    await runs([], '--burst');
    expect(await redis.client.hmget(`rq:job:${job.id}`, 'status', 'result')).toEqual(['finished', '85']);
    expect(await lifetime(job.id)).toBe(500);
  });

  it('exits with 0 after a burst in which a job failed', async () => {
    const job = await queue.enqueue('fail', ['on purpose']);
    await runs([], '--burst');
    expect(await redis.client.hget(`rq:job:${job.id}`, 'status')).toBe('failed');
    expect(await redis.client.zrange('rq:failed:default', '0', '-1')).toEqual([job.id]);
  });

  it('lists its queues, and takes jobs from the first as long as it has some', async () => {
    const { add, started } = ledger('priority');
    for (const id of ['l1', 'l2']) await add('low', id);
    for (const id of ['h1', 'h2']) await add('high', id);
    const worker = await runs(['high', 'low'], '--burst');
    expect(lines(worker)).toContain('*** Listening on high, low...');
    expect(await started()).toEqual(['h1', 'h2', 'l1', 'l2']);
  });

  it('registers under the name it is given, with its queues and process', async () => {
    const worker = start(['high', 'low'], '-n', 'one.of-them');
    await worker.listening();
    expect(await redis.client.smembers('rq:workers')).toEqual(['rq:worker:one.of-them']);
    expect(await redis.client.smembers('rq:workers:low')).toEqual(['rq:worker:one.of-them']);
    expect(await redis.client.hmget('rq:worker:one.of-them', 'queues', 'pid')).toEqual([
      'high,low',
      String(worker.pid),
    ]);
  });

  it('makes up a name of its own otherwise', async () => {
    const [, name] = await start([]).said(/Worker rq:worker:([0-9a-f]{32}): started/);
    await vi.waitFor(
      async () => expect(await redis.client.smembers('rq:workers')).toEqual([`rq:worker:${name}`]),
      { timeout: 10_000 },
    );
  });

  it('finds Redis in RQ_REDIS_URL', async () => {
    const job = await queue.enqueue('add', [1, 2]);
    const worker = keep(new WorkerProcess(['-b', '-f', TASKS], { RQ_REDIS_URL: redis.url }));
    expect(await worker.exit()).toEqual({ code: 0, signal: null });
    expect(await job.result).toBe(3);
  });

  it('takes --url before RQ_REDIS_URL', async () => {
    const job = await queue.enqueue('add', [1, 2]);
    const worker = keep(
      new WorkerProcess(['-b', '-f', TASKS, '--url', redis.url], { RQ_REDIS_URL: 'nonsense' }),
    );
    expect(await worker.exit()).toEqual({ code: 0, signal: null });
    expect(await job.result).toBe(3);
  });
});

describe('rq-worker --functions', () => {
  it('registers the functions of several modules, under a prefix where one is given', async () => {
    const feeds = await folder.write('feeds.mjs', 'export const get = x => `feed ${x}`;');
    const plain = await folder.write('plain.mjs', 'export const get = x => `plain ${x}`;');
    const jobs = await queue.enqueueMany([
      ['feeds.get', [1]],
      ['get', [2]],
      ['add', [1, 2]],
    ]);
    await runs([], '-b', '-f', `feeds=${feeds}`, '--functions', plain);
    expect(await Promise.all(jobs.map(job => job.result))).toEqual(['feed 1', 'plain 2', 3]);
  });

  it('finds files and packages from the working directory', async () => {
    const home = folder.of('app');
    const pack = join(home, 'node_modules', 'some-tasks');
    await mkdir(pack, { recursive: true });
    await writeFile(join(home, 'own.mjs'), 'export const own = () => "file";');
    await writeFile(join(pack, 'package.json'), '{"type":"module","exports":"./index.js"}');
    await writeFile(join(pack, 'index.js'), 'export const packaged = () => "package";');
    const jobs = await queue.enqueueMany([
      ['own', []],
      ['packaged', []],
    ]);
    const args = [PROGRAM, '-b', '-q', '-u', redis.url, '-f', './own.mjs', '-f', 'some-tasks'];
    const child = spawn(process.execPath, args, { cwd: home, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    expect([code, said]).toEqual([0, '']);
    expect(await Promise.all(jobs.map(job => job.result))).toEqual(['file', 'package']);
  });

  it('is not disturbed by a module that prints, warns and holds a timer', async () => {
    const loud = await folder.write(
      'loud.mjs',
      `console.log('hello from the module');
      process.emitWarning('of no use');
      setInterval(() => {}, 1000);
      export const quiet = () => 'done';`,
    );
    const job = await queue.enqueue('quiet', []);
    const worker = await runs([], '-b', '-f', loud);
    expect(worker.out).toContain('hello from the module\n');
    expect(worker.err).toContain('of no use');
    expect(await job.result).toBe('done');
  });

  it('fails a job whose function is not registered, and lists those that are', async () => {
    const job = await queue.enqueue('no_such', []);
    await runs([], '-b');
    const text = await redis.client.hget(`rq:job:${job.id}`, 'exc_info');
    expect(text).toContain("Function 'no_such' of job");
    expect(text).toContain('sum');
  });
});

describe('rq-worker --concurrency', () => {
  it.each([
    ['1 by default', [], ['start', 'end', 'start', 'end', 'start', 'end']],
    ['as many as it says', ['-c', '3'], ['start', 'start', 'start', 'end', 'end', 'end']],
  ])('runs %s at the same time', async (_, args, expected) => {
    const { add, lines: noted } = ledger(`concurrency-${args.length}`);
    for (const id of ['a', 'b', 'c']) await add('default', id, 200);
    await runs([], '-b', ...args);
    expect((await noted()).map(line => line.split(' ')[0])).toEqual(expected);
  });
});

describe('rq-worker --max-jobs', () => {
  it('ends after so many jobs, and leaves the others', async () => {
    const jobs = await queue.enqueueMany([1, 2, 3].map(n => ['add', [n, n]] as const));
    await runs([], '--max-jobs', '2');
    expect(await Promise.all(jobs.map(job => job.getStatus()))).toEqual(['finished', 'finished', 'queued']);
    expect(await redis.client.lrange('rq:queue:default', 0, -1)).toEqual([jobs[2]?.id]);
  });
});

describe('rq-worker --max-idle-time', () => {
  it('ends after that long without a job', async () => {
    const job = await queue.enqueue('stubborn', [700]);
    const worker = await runs([], '--max-idle-time', '500ms', '--log-format', 'json');
    // by its own clock: what it says may be a while on its way
    const said = worker.out
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as { msg: string; time: number });
    const at = (what: RegExp): number => said.find(({ msg }) => what.test(msg))?.time ?? NaN;
    expect(at(/^Stopped/) - at(/Job OK/)).toBeGreaterThan(400);
    expect(await job.result).toBe('done');
    expect(await redis.client.smembers('rq:workers')).toEqual([]);
  });
});

describe('rq-worker --results-ttl', () => {
  it.each([
    ['60', 60, 'Result is kept for 60 seconds'],
    ['5m', 300, 'Result is kept for 300 seconds'],
    ['0', -2, 'Result discarded immediately'],
    ['-1', -1, 'Result will never expire, clean up result key manually'],
  ])('keeps results for %s, unless the job says otherwise', async (given, ttl, said) => {
    const job = await queue.enqueue('nothing', []);
    const other = await queue.enqueue('nothing', [], { resultTtl: 40 });
    const worker = await runs([], '-b', '--results-ttl', given);
    expect(lines(worker)).toContain(said);
    expect([await lifetime(job.id), await lifetime(other.id)]).toEqual([ttl, 40]);
  });
});

describe('rq-worker --dequeue-strategy', () => {
  async function order(strategy: string, each: number): Promise<string> {
    const { add, started } = ledger(`strategy-${strategy}`);
    for (let i = 0; i < each; i++) await add('b', 'b');
    for (let i = 0; i < each; i++) await add('a', 'a');
    await runs(['a', 'b'], '-b', '-q', '--dequeue-strategy', strategy);
    return (await started()).join('');
  }

  it('takes from the first queue first with default', async () => {
    expect(await order('default', 4)).toBe('aaaabbbb');
  });

  it('takes from each queue in turn with round_robin', async () => {
    expect(await order('round_robin', 4)).toMatch(/^(ab){4}$|^(ba){4}$/);
  });

  it('takes by chance with random', async () => {
    const taken = await order('random', 20);
    expect(taken.replaceAll('a', '')).toHaveLength(20);
    expect(taken).toHaveLength(40);
    expect(taken).not.toMatch(/^(a{20}|b{20}|(ab){20}$|(ba){20}$)/);
  });
});

describe('rq-worker --pid', () => {
  it('writes its process id, and removes the file when it ends', async () => {
    const file = folder.of('worker.pid');
    const worker = await start([], '--pid', file).listening();
    expect(await readFile(file, 'utf8')).toBe(`${worker.pid}\n`);
    expect(await worker.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(existsSync(file)).toBe(false);
  });
});
