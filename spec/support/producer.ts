/** A producer of a fault case: each of its methods calls the library, and looks whether it did what it says. */
import { expect } from 'vitest';
import { OutcomeUnknownError, Queue, type Job } from '../../lib/index.ts';
import type { FaultCase } from './fault-case.ts';

/** What the producer of a case works with: a queue that a worker listens to, and one that nobody does. */
export class Producer {
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
    // of one tick, so of one round trip: with an id of the caller's, and without
    const jobs = await Promise.all([this.enqueue(this.parked), this.enqueue(this.parked)]);
    expect(await this.parked.getJobIds()).toEqual(jobs.map(({ id }) => id));
    expect(await this.parked.count()).toBe(2);
    for (const { id } of jobs) this.c.ledger.deleted(id);
    await this.parked.delete();
    expect(await this.parked.count()).toBe(0);
  }

  /** Set, read, and taken away again: a queue of nobody's work is left as it was. */
  async turns(): Promise<void> {
    const { parked } = this;
    await parked.pause();
    await parked.setRateLimit('10/m');
    expect([await parked.isPaused(), await parked.getRateLimit()]).toEqual([true, '10/m']);
    await parked.resume();
    await parked.setRateLimit(undefined);
    expect(await this.c.redis.client.exists('rq:limits:parked')).toBe(0);
  }

  async saveMeta(): Promise<void> {
    const job = await this.enqueue(this.parked);
    job.meta = { seen: true };
    await job.saveMeta();
    expect((await job.refresh()).meta).toEqual({ seen: true });
    await this.cancel(job);
    expect(await this.parked.canceledRegistry.getJobIds()).toContain(job.id);
  }

  /** Crons that come in January: set, listed and removed, each as if its reply had come. */
  async crons(): Promise<void> {
    const cron = await this.parked.cron('0 0 1 1 *', 'nothing');
    expect(cron.nextRunAt?.getTime()).toBeGreaterThan(Date.now());
    expect(await this.parked.crons()).toEqual([cron]);
    await this.parked.removeCron('nothing');
    expect(await this.parked.crons()).toEqual([]);
  }

  /** How the backlog of those that nobody runs stands. */
  async stats(): Promise<void> {
    const job = await this.enqueue(this.parked);
    expect((await this.parked.stats()).length).toBe(await this.parked.count());
    await this.cancel(job);
  }

  /** A job that runs until it is told to end. */
  async #running(): Promise<Job> {
    const job = await this.q.enqueue('waitForAbort', [60_000], { resultTtl: -1 });
    this.c.ledger.told(job.id, 'acknowledged');
    await expect.poll(() => job.getStatus(), { timeout: 20_000, interval: 20 }).toBe('started');
    return job;
  }

  /** Its worker is told that the run is not the job's any more. */
  async cancelRunning(): Promise<void> {
    await (await this.#running()).cancel();
  }

  /** A request for a job that runs; it ends as stopped. */
  async stop(): Promise<void> {
    const job = await this.#running();
    await job.stop();
    await expect(job.wait({ timeout: '20s' })).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED' });
  }

  /** Sent again it changes nothing more: the job is due at the time that was asked for. */
  async reschedule(): Promise<void> {
    const due = new Date(Date.now() + 3600_000);
    const job = await this.parked.enqueueIn('1d', 'ledger', [this.c.ledger.file, null, 0]);
    this.c.ledger.told(job.id, 'acknowledged');
    await this.parked.scheduledRegistry.schedule(job.id, due);
    expect(await this.parked.scheduledRegistry.getScheduledTime(job.id)).toEqual(due);
    await this.cancel(job);
  }

  /** What came of each run of a job. */
  async results(): Promise<void> {
    const job = await this.finished();
    expect(await job.results()).toMatchObject([{ type: 'successful', returnValue: job.id }]);
  }
}
