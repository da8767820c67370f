/** /healthz and /readyz of a worker whose Redis is away, whose event loop is blocked, and that stops. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Queue } from '../../lib/queue.ts';
import { useFolder } from '../support/folder.ts';
import { useRedis } from '../support/in-process.ts';
import { ask, samplesOf, scrape, servedBy } from '../support/metrics.ts';
import { freePort, startRedis } from '../support/redis.ts';
import { startWorker, type WorkerProcess } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';

const redis = useRedis();
const folder = useFolder();
const workers = useWorkerProcesses(redis);
const OK = [200, 'ok\n'];
const soon = { timeout: 10_000 };

async function start(...args: readonly string[]): Promise<{ worker: WorkerProcess; url: string }> {
  const worker = workers.start([], '--metrics-port', '0', ...args);
  const url = await servedBy(worker);
  await expect.poll(() => ask(url, '/readyz'), soon).toEqual(OK);
  return { worker, url };
}

/** Waits until a function has noted in its file that it began: Redis says so before the worker has the job. */
async function begun(file: string): Promise<void> {
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8').includes('start '), soon).toBe(true);
}

describe('a worker whose Redis is away', () => {
  it(
    'is not ready at once, unhealthy when its heartbeat is old, and both again when Redis is back',
    {
      timeout: 60_000,
    },
    async () => {
      let server = await startRedis();
      const { port, dir } = server;
      try {
        // with the shortest lease, a heartbeat is old after 6.5 s
        const worker = workers.keep(
          startWorker(server.url, ['default'], '--metrics-port', '0', '--lease', '3'),
        );
        const url = await servedBy(worker);
        await expect.poll(() => ask(url, '/readyz'), soon).toEqual(OK);
        expect((await scrape(url)).get('rq_redis_up')).toBe(1);

        await server.kill();
        const gone = performance.now();
        await expect.poll(() => ask(url, '/readyz'), soon).toEqual([503, 'not connected to Redis\n']);
        expect(performance.now() - gone).toBeLessThan(5_000);
        expect(await ask(url, '/healthz')).toEqual(OK);
        const samples = await scrape(url);
        expect(samples.get('rq_redis_up')).toBe(0);
        expect(samplesOf(samples, 'rq_queue_length')).toEqual({});
        expect(samples.get('rq_worker_concurrency')).toBe(1);
        let said = '';
        const status = async (): Promise<number> => {
          const [code, text] = await ask(url, '/healthz');
          said = text;
          return code;
        };
        await expect.poll(status, { timeout: 20_000 }).toBe(503);
        const seconds = (performance.now() - gone) / 1000;
        expect(seconds).toBeGreaterThan(2.5);
        const [, silent = ''] = /^no heartbeat for (\d+) s\n$/.exec(said) ?? [];
        expect(Number(silent)).toBeGreaterThanOrEqual(6);
        // the last heartbeat was before Redis went, and no more than two looks
        expect(Number(silent)).toBeLessThan(seconds + 3);

        server = await startRedis({ port, dir });
        await expect.poll(() => ask(url, '/healthz'), soon).toEqual(OK);
        await expect.poll(() => ask(url, '/readyz'), soon).toEqual(OK);
        expect(samplesOf(await scrape(url), 'rq_queue_length')).toEqual({ '{queue="default"}': 0 });
      } finally {
        await server.stop();
      }
    },
  );

  it('is healthy, and not ready, while it waits for its first connection', async () => {
    const worker = workers.keep(
      startWorker(`redis://127.0.0.1:${await freePort()}`, ['default'], '--metrics-port', '0'),
    );
    const url = await servedBy(worker);
    expect(await ask(url, '/healthz')).toEqual(OK);
    expect(await ask(url, '/readyz')).toEqual([503, 'not connected to Redis\n']);
    expect((await scrape(url)).get('rq_redis_up')).toBe(0);
    expect(await worker.end('SIGTERM')).toEqual({ code: 0, signal: null });
  });
});

describe('a worker whose Redis does not answer', () => {
  it('tells its own metrics all the same, within five seconds', async () => {
    const { url } = await start();
    process.kill(redis.pid, 'SIGSTOP');
    try {
      const began = performance.now();
      expect((await scrape(url)).get('rq_redis_up')).toBe(0);
      expect(performance.now() - began).toBeLessThan(5_000);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
    await expect.poll(async () => (await scrape(url)).get('rq_redis_up'), soon).toBe(1);
  });
});

describe('a worker whose event loop is blocked', () => {
  it('says nothing, which is the answer, and shows the lag when it is over', async () => {
    const { worker, url } = await start();
    await using q = new Queue('default', { connection: redis.url });
    const file = folder.of('blocks');
    const job = await q.enqueue('firstRun', [file, 'block', 25_000]);
    await begun(file);
    await expect(ask(url, '/healthz', 3_000)).rejects.toThrow('timeout');
    await folder.write('blocks-go', '');
    expect(await job.wait()).toBe(worker.pid);
    await expect.poll(() => ask(url, '/healthz'), soon).toEqual(OK);
    expect(await ask(url, '/readyz')).toEqual(OK);
    expect((await scrape(url)).get('nodejs_eventloop_lag_max_seconds')).toBeGreaterThan(2);
  });
});

describe('a worker that stops', () => {
  it('is not ready and still healthy while its jobs end, and then says nothing', async () => {
    const { worker, url } = await start();
    await using q = new Queue('default', { connection: redis.url });
    const job = await q.enqueue('untilTold', [folder.of('stops')]);
    await begun(folder.of('stops'));
    const ended = worker.end('SIGTERM');
    await expect.poll(() => ask(url, '/readyz')).toEqual([503, 'stopping\n']);
    expect(await ask(url, '/healthz')).toEqual(OK);
    expect((await scrape(url)).get('rq_worker_running_jobs')).toBe(1);
    await folder.write('stops-go', '');
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(await job.getStatus()).toBe('finished');
    await expect(ask(url, '/healthz')).rejects.toThrow('fetch failed');
  });
});
