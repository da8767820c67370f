import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Queue, type Job } from '../../lib/index.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { freePort, startRedis } from '../support/redis.ts';
import { TASKS, WorkerProcess, startWorker } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';

const STOPPED = { code: 0, signal: null };
/** Milliseconds in which a worker with nothing to wait for is to end. */
const PROMPT = 2_000;

const redis = useRedis();
const queue = useQueue(redis);
const workers = useWorkerProcesses(redis);
const start = (...args: readonly string[]): WorkerProcess => workers.start([], ...args);
let nobody: number;
let refused: WorkerProcess;
let stranger: WorkerProcess;
let ignored: Promise<string>;

beforeAll(async () => {
  nobody = await freePort();
  // these take some seconds to come to something: they run beside the rest
  [refused, stranger] = [lost(nobody), lost(redis.port)];
  ignored = stopWithoutAnswer();
});
afterAll(() => Promise.all([refused.end(), stranger.end(), ignored]));

/** A worker whose Redis is not there, or does not know its password. */
function lost(port: number): WorkerProcess {
  const url = `redis://bob:sekret@127.0.0.1:${port}`;
  return new WorkerProcess(['--url', url, '--functions', TASKS]);
}

/** Stops a worker whose Redis has stopped answering; says how that went. */
async function stopWithoutAnswer(): Promise<string> {
  const hung = await startRedis();
  const worker = startWorker(hung.url);
  try {
    await worker.listening();
    process.kill(hung.pid, 'SIGSTOP');
    worker.child.kill('SIGTERM');
    const limit = new AbortController();
    const late = sleep(10_000, 'still there', { signal: limit.signal }).catch(() => '');
    const how = await Promise.race([worker.exit().then(({ code }) => `exited with ${code}`), late]);
    limit.abort();
    return how;
  } finally {
    await worker.end();
    await hung.stop();
  }
}

/** A port whose connections are closed at once; `tried` resolves after the fifth, when the pauses between them are long. */
async function shutDoor(): Promise<{ port: number; tried: Promise<unknown>; close: () => Promise<unknown> }> {
  let connections = 0;
  const server = createServer(socket => {
    socket.on('error', () => {}).on('close', () => ++connections === 5 && server.emit('tried'));
    socket.resume().end();
  }).listen(0, '127.0.0.1');
  const tried = once(server, 'tried');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    tried,
    close: () => once(server.close(), 'close'),
  };
}

/** Starts a job and waits until it runs. */
async function running(worker: WorkerProcess, name: string, ms: number): Promise<Job> {
  const job = await queue.enqueue(name, [ms]);
  await worker.said(new RegExp(`${name}\\(${ms}\\) \\(${job.id}\\)`));
  return job;
}

async function ends(worker: WorkerProcess, signal: NodeJS.Signals): Promise<number> {
  const sent = performance.now();
  expect({ ...(await worker.end(signal)), said: worker.all }).toMatchObject(STOPPED);
  return performance.now() - sent;
}

/** The job is back at the front of its queue, and no trace of its run is left. */
async function isBackInFrontOf(job: Job, others: readonly Job[]): Promise<void> {
  expect(await redis.client.lrange('rq:queue:default', 0, -1)).toEqual([job, ...others].map(({ id }) => id));
  expect(await redis.client.hget(`rq:job:${job.id}`, 'status')).toBe('queued');
  expect(await redis.client.hexists(`rq:job:${job.id}`, 'execution_id')).toBe(0);
  expect(await redis.client.zrange('rq:wip:default', '0', '-1')).toEqual([]);
  expect(await redis.client.zrange('rq:failed:default', '0', '-1')).toEqual([]);
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s to rq-worker', signal => {
  it('ends an idle worker at once', async () => {
    const worker = await start().listening();
    expect(await ends(worker, signal)).toBeLessThan(PROMPT);
  });

  it('lets the running job finish, and takes no other', async () => {
    const worker = await start().listening();
    const job = await running(worker, 'stubborn', 2_000);
    const next = await queue.enqueue('add', [1, 2]);
    await ends(worker, signal);
    expect(await redis.client.hmget(`rq:job:${job.id}`, 'status', 'result')).toEqual(['finished', '"done"']);
    expect(await redis.client.lrange('rq:queue:default', 0, -1)).toEqual([next.id]);
    expect(worker.out).toContain(`default: Job OK (${job.id})`);
  });
});

describe('a stop of rq-worker', () => {
  it('leaves no registration behind', async () => {
    const worker = await start('-n', 'leaver').listening();
    expect(await redis.client.smembers('rq:workers')).toEqual(['rq:worker:leaver']);
    await ends(worker, 'SIGTERM');
    expect(await redis.client.smembers('rq:workers')).toEqual([]);
    expect(await redis.client.smembers('rq:workers:default')).toEqual([]);
    expect(await redis.client.smembers('rq:claimants:default')).toEqual([]);
    expect(await redis.client.exists('rq:worker:leaver:claims:default')).toBe(0);
    expect(await redis.client.hget('rq:worker:leaver', 'death')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(await redis.client.ttl('rq:worker:leaver')).toBeGreaterThan(0);
  });

  it('takes it with the counts of a worker that was busy until the end', async () => {
    const worker = await start('-n', 'busy').listening();
    await running(worker, 'stubborn', 400);
    await ends(worker, 'SIGTERM');
    expect(await redis.client.hget('rq:worker:busy', 'successful_job_count')).toBe('1');
    expect(await redis.client.hexists('rq:worker:busy', 'current_job')).toBe(0);
  });

  it('aborts what still runs after --shutdown-timeout, and puts it back to the front', async () => {
    const worker = await start('--shutdown-timeout', '1').listening();
    const job = await running(worker, 'waitForAbort', 60_000);
    const next = await queue.enqueue('add', [1, 2]);
    const took = await ends(worker, 'SIGTERM');
    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(1000 + PROMPT);
    await isBackInFrontOf(job, [next]);
  });

  it('gives back at once at a second signal, even a function that takes no notice', async () => {
    const worker = await start('--shutdown-timeout', '1m').listening();
    const job = await running(worker, 'stubborn', 60_000);
    const next = await queue.enqueue('add', [1, 2]);
    worker.child.kill('SIGTERM');
    await worker.said(/Warm shut down/);
    expect(await ends(worker, 'SIGTERM')).toBeLessThan(PROMPT);
    await isBackInFrontOf(job, [next]);
    expect(await redis.client.smembers('rq:workers')).toEqual([]);
  });

  it('puts several jobs back in the order they came in', async () => {
    const worker = await start('-c', '3', '--shutdown-timeout', '0').listening();
    const jobs = [];
    for (const ms of [60_001, 60_002, 60_003]) jobs.push(await running(worker, 'waitForAbort', ms));
    expect(await ends(worker, 'SIGTERM')).toBeLessThan(PROMPT);
    expect(await redis.client.lrange('rq:queue:default', 0, -1)).toEqual(jobs.map(({ id }) => id));
  });
});

describe('SIGKILL to rq-worker', () => {
  it('leaves the run under its lease: another worker does not run the job again yet', async () => {
    const worker = await start('-n', 'killed').listening();
    const job = await running(worker, 'stubborn', 60_000);
    await worker.end('SIGKILL');
    const runBefore = await redis.client.hget(`rq:job:${job.id}`, 'execution_id');
    const other = await queue.enqueue('add', [1, 2]);
    const second = start('--burst', '-n', 'second');
    expect(await second.exit()).toEqual(STOPPED);
    expect(await redis.client.zrange('rq:wip:default', '0', '-1')).toEqual([`${job.id}:${runBefore}`]);
    expect(await redis.client.hmget(`rq:job:${job.id}`, 'status', 'worker_name', 'execution_id')).toEqual([
      'started',
      'killed',
      runBefore,
    ]);
    expect(await redis.client.smembers('rq:workers')).toEqual(['rq:worker:killed']);
    expect(await redis.client.ttl('rq:worker:killed')).toBeLessThanOrEqual(40);
    expect(await other.result).toBe(3);
  });

  it('leaves a job that was on its way under a lease, after which another worker runs it', async () => {
    const worker = await start('-n', 'frozen').listening();
    // an idle worker waits at Redis, and has said before that it claims what it is handed
    await vi.waitFor(async () => expect(await redis.client.client('LIST')).toMatch(/ cmd=blmove /), {
      timeout: 15_000,
      interval: 20,
    });
    process.kill(worker.pid, 'SIGSTOP');
    const job = await queue.enqueue('add', [1, 2]);
    await worker.end('SIGKILL');
    expect(await redis.client.hmget(`rq:job:${job.id}`, 'status', 'worker_name')).toEqual([
      'started',
      'frozen',
    ]);
    expect(await redis.client.llen('rq:queue:default')).toBe(0);
    expect(await redis.client.exists('rq:worker:frozen:claims:default')).toBe(0);
    // as when its lease is over, and nobody is sweeping
    const [run = ''] = await redis.client.zrange('rq:wip:default', '0', '-1');
    await redis.client.zadd('rq:wip:default', 'XX', Date.now() / 1000, run);
    await redis.client.del('rq:janitor:default');
    const second = start('--burst');
    expect(await second.exit()).toEqual(STOPPED);
    expect(await job.result).toBe(3);
    expect(await redis.client.hget(`rq:job:${job.id}`, 'recoveries')).toBe('1');
  });

  it('leaves an id that it could not claim among its claims, which another worker brings back', async () => {
    const worker = await start('-n', 'frozen').listening();
    await vi.waitFor(async () => expect(await redis.client.client('LIST')).toMatch(/ cmd=blmove /), {
      timeout: 15_000,
      interval: 20,
    });
    process.kill(worker.pid, 'SIGSTOP');
    // Redis was started anew, and does not know the script of the claim
    await redis.client.script('FLUSH');
    const job = await queue.enqueue('add', [1, 2]);
    await worker.end('SIGKILL');
    expect(await redis.client.lrange('rq:worker:frozen:claims:default', 0, -1)).toEqual([job.id]);
    expect(await redis.client.hget(`rq:job:${job.id}`, 'status')).toBe('queued');
    expect(await redis.client.llen('rq:queue:default')).toBe(0);
    // as when its forty seconds are over, and nobody is sweeping
    await redis.client.del('rq:worker:frozen', 'rq:janitor:default');
    const second = start('--burst');
    expect(await second.exit()).toEqual(STOPPED);
    expect(await job.result).toBe(3);
    expect(await redis.client.exists('rq:worker:frozen:claims:default')).toBe(0);
  });
});

describe('rq-worker without a Redis', () => {
  it('says so on standard error, with host and port and without the password', async () => {
    await refused.said(new RegExp(`127\\.0\\.0\\.1:${nobody}`));
    expect(refused.err).toContain(`127.0.0.1:${nobody}`);
    expect(await refused.end('SIGTERM')).toEqual(STOPPED);
    expect(refused.all).not.toContain('sekret');
  });

  it('ends at once on a wrong password, and names it as the cause without showing it', async () => {
    expect(await stranger.exit()).toEqual({ code: 1, signal: null });
    expect(stranger.err).toContain('WRONGPASS');
    expect(stranger.err).toContain(`127.0.0.1:${redis.port}`);
    expect(stranger.all).not.toContain('sekret');
  });

  it('ends with 0 at SIGTERM, promptly, while it tries for the first time', async () => {
    const door = await shutDoor();
    const worker = workers.keep(lost(door.port));
    await door.tried;
    expect(await ends(worker, 'SIGTERM')).toBeLessThan(PROMPT);
    await door.close();
  });

  it('works once there is one', async () => {
    const door = await shutDoor();
    const worker = workers.keep(lost(door.port));
    await door.tried;
    await door.close();
    const user = ['--user', 'bob', 'on', '>sekret', '~*', '&*', '+@all'];
    const late = await startRedis({ port: door.port, args: user });
    const lateQueue = new Queue('default', { connection: late.url });
    try {
      await worker.listening();
      const job = await lateQueue.enqueue('add', [1, 2]);
      expect(await job.wait({ timeout: '15s' })).toBe(3);
      await ends(worker, 'SIGTERM');
      expect(worker.all).not.toContain('sekret');
    } finally {
      await lateQueue.close();
      await late.stop();
    }
  });

  it('ends with 0 at SIGTERM, in seconds, when Redis has stopped answering', async () => {
    expect(await ignored).toBe('exited with 0');
  });

  it('goes on when Redis has been away, and says both', async () => {
    let own = await startRedis();
    const { port, dir } = own;
    const worker = workers.keep(startWorker(own.url));
    await worker.listening();
    await own.kill();
    await worker.said(new RegExp(`127\\.0\\.0\\.1:${port}`));
    own = await startRedis({ port, dir });
    const ownQueue = new Queue('default', { connection: own.url });
    try {
      await worker.said(/Connected to Redis again/);
      const job = await ownQueue.enqueue('add', [1, 2]);
      expect(await job.wait({ timeout: '15s' })).toBe(3);
      expect(await ends(worker, 'SIGTERM')).toBeLessThan(PROMPT);
    } finally {
      await ownQueue.close();
      await own.stop();
    }
  });
});
