import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { ConnectionError, OutcomeUnknownError, Queue } from '../../lib/index.ts';
import { urlOf } from '../support/acl.ts';
import { loadScripts } from '../support/commands.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { ledgerWorker } from '../support/ledger-worker.ts';
import { Proxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { startWorker } from '../support/worker-process.ts';

/** A producer's deadline, and what a busy machine may add. */
const [DEADLINE, SLACK] = [5000, 4000];

/** What a call gave, and after how many milliseconds. */
async function timed<T>(call: Promise<T>): Promise<{ readonly gave: unknown; readonly ms: number }> {
  const began = performance.now();
  const gave: unknown = await call.catch((error: unknown) => error);
  return { gave, ms: performance.now() - began };
}

/** Enqueues one job after the other until this process runs one. */
async function worksAgain(c: FaultCase, pid: number, timeout: number): Promise<number> {
  const since = Date.now();
  const starts = (): number =>
    [...c.ledger.read().entries.values()]
      .flatMap(entry => entry.starts)
      .filter(start => start.pid === pid && start.at >= since).length;
  await expect
    .poll(
      async () => {
        await c.enqueue(2, { ms: 200 });
        return starts();
      },
      { timeout, interval: 500 },
    )
    .toBeGreaterThan(0);
  return (Date.now() - since) / 1000;
}

describe('a link that stands and says nothing', () => {
  faultCase('costs a producer its deadline, and no more', {}, async c => {
    const relay = c.closing(await Relay.to(c.redis.port));
    const connected = c.closing(new Queue('default', { connection: relay.url }));
    const reader = c.closing(new Queue('default', { connection: relay.url }));
    const late = c.closing(new Queue('default', { connection: relay.url }));
    await c.enqueue(1, { queue: connected });
    await reader.count();
    relay.stop();
    const call = (jobId: string) => ['ledger', [c.ledger.file, null, 0], { jobId, resultTtl: -1 }] as const;
    const [sent, read, unsent] = await Promise.all([
      timed(connected.enqueue(...call('sent'))),
      timed(reader.count()),
      timed(late.enqueue(...call('unsent'))),
    ]);
    c.ledger.told('sent', 'unknown');
    c.ledger.told('unsent', 'unsent');
    expect(sent.gave).toBeInstanceOf(OutcomeUnknownError);
    expect(read.gave).toBeInstanceOf(ConnectionError);
    expect(unsent.gave).toBeInstanceOf(ConnectionError);
    for (const { ms } of [sent, read, unsent]) {
      expect(ms).toBeGreaterThan(DEADLINE - 100);
      expect(ms).toBeLessThan(DEADLINE + SLACK);
    }
    relay.goOn();
    // over a new connection, and safe whether or not the first call got through
    const again = await timed(connected.enqueue(...call('sent')));
    const name = again.gave instanceof Error ? again.gave.name : 'no error';
    expect(['no error', 'DuplicateJobError']).toContain(name);
    expect(again.ms).toBeLessThan(SLACK);
    c.ledger.told('sent', 'acknowledged');
    expect(await c.q.getJobIds()).toHaveLength(2);
  });

  for (const end of ['goes on', 'is killed'] as const)
    faultCase(
      `does not keep a worker for good when it ${end} after 40 s`,
      { onlyWithAll: true, timeout: 300_000 },
      async c => {
        const relay = c.closing(await Relay.to(c.redis.port));
        const worker = c.workerAt(relay.url, '--concurrency', '5');
        await c.enqueue(20);
        await c.ended(20);
        // caught in mid-run
        await c.enqueue(5, { ms: 1000 });
        c.ledger.struck();
        relay.stop();
        await sleep(40_000);
        if (end === 'goes on') relay.goOn();
        else {
          await relay.close();
          c.closing(await Relay.to(c.redis.port, relay.port));
        }
        c.note = `at work again after ${(await worksAgain(c, worker.pid, 60_000)).toFixed(1)} s`;
      },
    );

  faultCase(
    'for ever is replaced by a new one that works',
    { onlyWithAll: true, timeout: 300_000 },
    async c => {
      const proxy = c.closing(await Proxy.to(c.redis.port));
      const worker = c.workerAt(proxy.url, '--concurrency', '5');
      await c.enqueue(20);
      await c.ended(20);
      c.ledger.struck();
      proxy.freeze();
      const seconds = await worksAgain(c, worker.pid, 60_000);
      c.note = `at work again after ${seconds.toFixed(1)} s`;
    },
  );

  faultCase(
    'for ever is replaced where a worker waits at two queues, whose reads began apart',
    { onlyWithAll: true, timeout: 300_000, queues: ['default', 'other'] },
    async c => {
      const proxy = c.closing(await Proxy.to(c.redis.port));
      const worker = c.keep(
        startWorker(
          urlOf('rq-worker', proxy.url),
          ['default', 'other'],
          '--lease',
          '3',
          '--quiet',
          '--concurrency',
          '5',
        ),
      );
      await c.enqueue(20);
      await c.ended(20);
      const reads = async (): Promise<string[]> =>
        String(await c.redis.client.client('LIST'))
          .split('\n')
          .filter(line => / flags=\S*b/.test(line));
      await expect.poll(async () => (await reads()).length, { timeout: 20_000 }).toBe(2);
      // as when its time is over, a second before the other one's
      await sleep(1_000);
      await c.redis.client.client('UNBLOCK', Number(/^id=(\d+)/.exec((await reads())[0] ?? '')?.[1]));
      await sleep(200);
      c.ledger.struck();
      proxy.freeze();
      const seconds = await worksAgain(c, worker.pid, 60_000);
      c.note = `at work again after ${seconds.toFixed(1)} s`;
    },
  );

  faultCase(
    'for ever, though it was made while nothing got through, is replaced',
    { onlyWithAll: true, timeout: 300_000 },
    async c => {
      const proxy = c.closing(await Proxy.to(c.redis.port));
      const worker = c.workerAt(proxy.url, '--concurrency', '5');
      await c.enqueue(20);
      await c.ended(20);
      c.ledger.struck();
      proxy.freeze(true);
      await sleep(50_000);
      proxy.thaw();
      c.note = `at work again after ${(await worksAgain(c, worker.pid, 60_000)).toFixed(1)} s`;
    },
  );

  faultCase('when a worker begins is replaced', { onlyWithAll: true, timeout: 300_000 }, async c => {
    const proxy = c.closing(await Proxy.to(c.redis.port));
    proxy.freeze(true);
    const worker = c.workerAt(proxy.url);
    await sleep(5000);
    proxy.thaw();
    c.note = `at work after ${(await worksAgain(c, worker.pid, 60_000)).toFixed(1)} s`;
  });
});

describe('replies that come in parts', () => {
  faultCase('and end after k bytes, for each k', { timeout: 600_000 }, async c => {
    const proxy = c.closing(await Proxy.to(c.redis.port));
    await loadScripts(c.redis.client);
    ledgerWorker(c, proxy.url);
    const behind = c.closing(new Queue('default', { connection: proxy.url }));
    let jobs = 0;
    const round = async (): Promise<void> => {
      // of the caller's own id, and of a generated one
      const ids = await c.enqueue(2, { queue: behind });
      expect(ids, 'what is sent again is acknowledged').toHaveLength(2);
      for (const id of ids) expect((await behind.fetchJob(id))?.id).toBe(id);
      await c.ended((jobs += 2));
    };
    await round();
    let cuts = 0;
    for (const name of ['advance', 'enqueue', 'fetch']) {
      const most = proxy.longest.get(name) ?? 0;
      // `:1` and its line end, of an enqueue
      expect(most).toBeGreaterThan(3);
      const lengths = Array.from({ length: most }, (_, k) => k + 1);
      for (const k of ALL ? lengths : Array.from({ length: 6 }, () => c.pick(lengths))) {
        const cut = proxy.lose(name, k);
        await Promise.all([cut, round()]);
        cuts++;
      }
    }
    expect(Math.max(...c.ledger.counts('start').values()), 'runs of a job').toBe(1);
    c.note = `${cuts} cuts; an advance answers ${proxy.longest.get('advance')} bytes`;
  });

  faultCase('byte by byte, and arrive', { timeout: 120_000 }, async c => {
    const proxy = c.closing(await Proxy.to(c.redis.port));
    proxy.slow = true;
    const worker = ledgerWorker(c, proxy.url, { concurrency: 3 });
    const errors: unknown[] = [];
    worker.on('error', error => errors.push(error)).on('disconnected', error => errors.push(error));
    const behind = c.closing(new Queue('default', { connection: proxy.url }));
    const jobs = ALL ? 500 : 60;
    const ids = await c.enqueue(jobs, { queue: behind });
    expect(ids).toHaveLength(jobs);
    for (const id of ids.slice(0, 10))
      expect(await (await behind.fetchJob(id))?.wait({ timeout: '30s' })).toBe(id);
    await c.ended(jobs);
    expect(errors).toEqual([]);
    expect(Math.max(...c.ledger.counts('start').values()), 'runs of a job').toBe(1);
    await worker.stop();
  });
});
