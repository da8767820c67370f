import { describe, expect } from 'vitest';
import { OutcomeUnknownError, Queue, type Job } from '../../lib/index.ts';
import { loadScripts, PRODUCERS } from '../support/commands.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { Proxy } from '../support/proxy.ts';

/** What the producer of a case works with: a queue that a worker listens to, and one that nobody does. */
class Producer {
  readonly c: FaultCase;
  readonly q: Queue;
  readonly parked: Queue;
  made = 0;
  /** Calls that a caller was told may have taken place. */
  unknown = 0;

  constructor(c: FaultCase, url: string) {
    this.c = c;
    this.q = c.closing(new Queue('default', { connection: url }));
    this.parked = c.closing(new Queue('parked', { connection: url }));
  }

  /** No lost reply may show: what is sent again leaves one job. */
  async enqueue(q: Queue = this.q): Promise<Job> {
    const jobId = this.made++ % 2 === 0 ? `mine-${this.made}` : undefined;
    const options = { resultTtl: -1, ...(jobId === undefined ? {} : { jobId }) };
    const job = await q.enqueue('ledger', [this.c.ledger.file, null, 0], options);
    this.c.ledger.told(job.id, 'acknowledged');
    return job;
  }

  async finished(): Promise<Job> {
    const job = await this.enqueue();
    expect(await job.wait({ timeout: '20s' })).toBe(job.id);
    return job;
  }

  async delete(job: Job): Promise<void> {
    this.c.ledger.deleted(job.id);
    await job.delete();
    expect(await this.c.q.fetchJob(job.id), 'what was deleted').toBeUndefined();
  }

  /** Sent twice it would run twice: so it is the caller's to ask again. */
  async requeue(job: Job): Promise<void> {
    try {
      await job.requeue();
    } catch (error) {
      expect(error).toBeInstanceOf(OutcomeUnknownError);
      this.unknown++;
      await expect.poll(() => job.getStatus(), { timeout: 20_000 }).toBe('finished');
    }
  }

  async cancel(job: Job): Promise<void> {
    await job.cancel();
    expect(await job.getStatus()).toBe('canceled');
  }

  /** Of the jobs that nobody runs, one is looked at in every way, and all are emptied out. */
  async empty(): Promise<void> {
    const jobs = [await this.enqueue(this.parked), await this.enqueue(this.parked)];
    expect(await this.parked.getJobIds()).toEqual(jobs.map(({ id }) => id));
    expect(await this.parked.count()).toBe(2);
    for (const { id } of jobs) this.c.ledger.deleted(id);
    await this.parked.delete();
    expect(await this.parked.count()).toBe(0);
  }

  async saveMeta(): Promise<void> {
    const job = await this.enqueue(this.parked);
    job.meta = { seen: true };
    await job.saveMeta();
    expect((await job.refresh()).meta).toEqual({ seen: true });
    await this.cancel(job);
    expect(await this.parked.canceledRegistry.getJobIds()).toContain(job.id);
  }

  /** A command for a job that runs; it ends as stopped. */
  async stop(): Promise<void> {
    const job = await this.q.enqueue('waitForAbort', [60_000], { resultTtl: -1 });
    this.c.ledger.told(job.id, 'acknowledged');
    await expect.poll(() => job.getStatus(), { timeout: 20_000, interval: 20 }).toBe('started');
    await job.stop();
    await expect(job.wait({ timeout: '20s' })).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED' });
  }
}

async function behindProxy(c: FaultCase): Promise<[Producer, Proxy]> {
  const proxy = c.closing(await Proxy.to(c.redis.port));
  c.worker('--concurrency', '4');
  return [new Producer(c, proxy.url), proxy];
}

describe('a producer whose reply is lost', () => {
  const queues = ['default', 'parked'];

  faultCase('the n-th one since it began, for each n', { timeout: 600_000, queues }, async c => {
    const [, proxy] = await behindProxy(c);
    const numbers = ALL
      ? Array.from({ length: 150 }, (_, i) => 1 + (i % 50))
      : Array.from({ length: 12 }, () => c.between(1, 40));
    let [made, unknown] = [0, 0];
    for (const n of numbers) {
      void proxy.lose(n);
      // a new one, so that its connections are made under the same threat
      const producer = new Producer(c, proxy.url);
      producer.made = made;
      const job = await producer.finished();
      expect(await job.result).toBe(job.id);
      await producer.requeue(job);
      await producer.cancel(await producer.enqueue(producer.parked));
      await producer.delete(await producer.enqueue(c.pick([producer.q, producer.parked])));
      await producer.empty();
      await producer.saveMeta();
      await producer.q.close();
      await producer.parked.close();
      proxy.spare();
      ({ made } = producer);
      unknown += producer.unknown;
    }
    const lost = [...proxy.losses.values()].reduce((sum, times) => sum + times, 0);
    expect(lost, 'replies that were lost').toBeGreaterThan(numbers.length / 2);
    c.note = `${lost} replies, of ${proxy.losses.size} commands; ${unknown} outcomes unknown`;
  });

  const SCRIPTS = PRODUCERS.map(({ name }) => name);
  const PLAIN = ['INFO', 'CLIENT SETINFO', 'SUBSCRIBE', 'UNSUBSCRIBE', 'LLEN', 'LRANGE', 'PUBLISH'];
  const COMMANDS = [...PLAIN, ...SCRIPTS, ...SCRIPTS.map(name => `EVAL ${name}`)];

  faultCase('to each command by its name', { timeout: 600_000, queues }, async c => {
    const [producer, proxy] = await behindProxy(c);
    const sends: Readonly<Record<string, () => Promise<unknown>>> = {
      delete: async () => producer.delete(await producer.enqueue(producer.parked)),
      enqueue: () => producer.enqueue(),
      requeue: async () => producer.requeue(await producer.finished()),
      cancel: async () => producer.cancel(await producer.enqueue(producer.parked)),
      fetch: async () => producer.q.fetchJob((await producer.enqueue()).id),
      read_state: async () => (await producer.enqueue()).getStatus(),
      save_meta: () => producer.saveMeta(),
      list_registry: () => producer.saveMeta(),
      PUBLISH: () => producer.stop(),
      SUBSCRIBE: () => producer.finished(),
      UNSUBSCRIBE: () => producer.finished(),
    };
    for (const name of COMMANDS) {
      const script = name.replace('EVAL ', '');
      await producer.finished();
      if (script === name) await loadScripts(c.redis.client);
      else await c.redis.client.script('FLUSH');
      const loss = proxy.lose(name);
      if (name === 'INFO' || name.startsWith('CLIENT')) proxy.cut();
      await (sends[script] ?? (() => producer.empty()))();
      await loss;
    }
    for (const name of COMMANDS) expect(proxy.losses.get(name), `lost replies to ${name}`).toBe(1);
    expect(producer.unknown, 'only requeue may not be sent again').toBe(2);
    const again = [...c.ledger.counts('start').values()].filter(runs => runs > 1);
    expect(again, 'runs of what was requeued, and of nothing else').toEqual([2, 2]);
    c.note = `${COMMANDS.length} commands`;
  });
});
