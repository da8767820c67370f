/** Status messages: what is published, and `job.statuses()`. */
import { describe, expect, it, vi } from 'vitest';
import type { Job } from '../lib/job.ts';
import { Queue } from '../lib/queue.ts';
import type { StatusMessage } from '../lib/status.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

const work = (): Promise<void> => workOff(redis, { name: 'w1' });

async function all(job: Job, first: () => Promise<unknown>): Promise<StatusMessage[]> {
  const messages: StatusMessage[] = [];
  for await (const message of job.statuses()) {
    if (messages.push(message) === 1) await first();
  }
  return messages;
}
const statuses = (messages: readonly StatusMessage[]): string[] => messages.map(({ status }) => status);

describe('Job.statuses', () => {
  it('gives how the job stands, then each change, and ends with the job', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    const messages = await all(job, work);
    expect(statuses(messages)).toEqual(['queued', 'started', 'finished']);
    expect(messages[0]).toMatchObject({ jobId: job.id, queue: 'default', worker: '' });
    expect(messages[1]).toMatchObject({ jobId: job.id, queue: 'default', worker: 'w1' });
    expect(messages[2]).toMatchObject({ jobId: job.id, queue: 'default', worker: 'w1', result: 3 });
    for (const { at } of messages) expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(5000);
    expect(messages[1]).not.toHaveProperty('result');
    expect(job.status).toBe('finished');
  });

  it('ends with a failure', async () => {
    const job = await q.enqueue('fail', ['no']);
    expect(statuses(await all(job, work))).toEqual(['queued', 'started', 'failed']);
  });

  it('ends with a cancellation', async () => {
    const job = await q.enqueue('f');
    expect(statuses(await all(job, () => job.cancel()))).toEqual(['queued', 'canceled']);
  });

  it('gives one message of a job that has ended before', async () => {
    const job = await q.enqueue('sum', [[1, 2]]);
    await work();
    const messages = await all(job, async () => {});
    expect(messages).toMatchObject([{ status: 'finished', result: 3 }]);
  });

  it('gives none of a job that is gone', async () => {
    const job = await q.enqueue('f');
    await job.delete();
    expect(await all(job, async () => {})).toEqual([]);
  });

  it('can be left early, and ends its subscription', async () => {
    const job = await q.enqueue('f');
    for await (const { status } of job.statuses()) {
      expect(status).toBe('queued');
      break;
    }
    await vi.waitFor(async () => expect(await redis.client.pubsub('CHANNELS')).toEqual([]), {
      timeout: 10_000,
      interval: 10,
    });
  });

  it('gives each change once, however early it comes', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 60 }, () => ['sum', [[1]]] as const));
    const seen = jobs.map(job => all(job, async () => {}));
    await work();
    for (const messages of await Promise.all(seen)) {
      const order = statuses(messages);
      expect(order).toEqual(['queued', 'started', 'finished'].filter(status => order.includes(status)));
      expect(order.at(-1)).toBe('finished');
    }
  });
});

describe('What is published', () => {
  it('is the JSON of the wire format, on a channel of queue and job', async () => {
    const job = await q.enqueue('echo', ['ä'], { jobId: 'a' });
    const listener = redis.client.duplicate();
    const heard: [channel: string, text: string][] = [];
    listener.on('message', (channel: string, text: string) => heard.push([channel, text]));
    await listener.subscribe('rq:status:default:a');
    await work();
    await job.requeue();
    await job.cancel();
    await vi.waitFor(() => expect(heard).toHaveLength(4), { timeout: 10_000, interval: 10 });
    listener.disconnect();
    const messages = heard.map(([channel, text]) => {
      expect(channel).toBe('rq:status:default:a');
      const { at, ...rest } = JSON.parse(text) as Record<string, unknown>;
      expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      return rest;
    });
    const common = { job_id: 'a', queue: 'default' };
    expect(messages).toEqual([
      { ...common, status: 'started', worker: 'w1' },
      { ...common, status: 'finished', worker: 'w1', result: ['ä'] },
      { ...common, status: 'queued', worker: '' },
      { ...common, status: 'canceled', worker: '' },
    ]);
  });

  it('reaches those who listen to a pattern', async () => {
    await q.enqueue('sum', [[1]], { jobId: 'a' });
    const listener = redis.client.duplicate();
    const heard: string[] = [];
    listener.on('pmessage', (_: string, channel: string) => heard.push(channel));
    await listener.psubscribe('rq:status:*');
    await work();
    await vi.waitFor(() => expect(heard).toEqual(['rq:status:default:a', 'rq:status:default:a']), {
      timeout: 10_000,
      interval: 10,
    });
    listener.disconnect();
  });

  it('is next to nothing where nobody listens: only of a job or two in a call nobody asks that', async () => {
    await q.enqueueMany(Array.from({ length: 100 }, () => ['sum', [[1]]] as const));
    await redis.client.config('RESETSTAT');
    await workOff(redis, { name: 'w1', concurrency: 100 });
    const info = await redis.client.info('commandstats');
    expect(info).toContain('cmdstat_evalsha');
    expect(Number(/cmdstat_publish:calls=(\d+)/.exec(info)?.[1] ?? 0)).toBeLessThan(20);
    expect(await q.finishedRegistry.count()).toBe(100);
  });

  it('is told of each of many jobs of a call', async () => {
    const jobs = await q.enqueueMany(Array.from({ length: 50 }, () => ['sum', [[1]]] as const));
    const ends = Promise.all(jobs.map(job => all(job, async () => {})));
    await expect
      .poll(async () => ((await redis.client.pubsub('CHANNELS', 'rq:status:*')) as string[]).length)
      .toBe(50);
    await workOff(redis, { name: 'w1', concurrency: 50 });
    for (const messages of await ends) {
      expect(messages.length).toBeGreaterThan(1);
      expect(messages.at(-1)).toMatchObject({ status: 'finished', result: 1 });
    }
  });
});

describe('the channel of a job that will be waited for', () => {
  const channels = async (): Promise<string[]> =>
    ((await redis.client.call('PUBSUB', 'CHANNELS', 'rq:status:*')) as string[]).toSorted();
  const soon = { timeout: 10_000, interval: 10 };
  const channelOf = (job: Job): string => `rq:status:default:${job.id}`;
  /** A job that was waited for at once, over a connection that stands: without one nothing is subscribed to ahead. */
  const waitedFor = async (producer: Queue): Promise<void> => {
    const first = await producer.enqueue('sum', [[1]]);
    expect(await channels()).not.toContain(channelOf(first));
    const waited = first.wait({ timeout: 15 });
    await expect.poll(channels, soon).toContain(channelOf(first));
    await work();
    expect(await waited).toBe(1);
  };

  it('is subscribed to with the enqueue, where the job before was waited for at once', async () => {
    await using producer = new Queue('default', { connection: redis.url });
    await waitedFor(producer);
    const second = await producer.enqueue('sum', [[2]]);
    // with those of the next jobs, whose ids are made; they may be left again before the last look
    let subscribed: string[] = [];
    await expect.poll(async () => (subscribed = await channels()), soon).toContain(channelOf(second));
    expect(subscribed).toContain(channelOf(await producer.enqueue('sum', [[3]])));
    expect((await channels()).filter(channel => !subscribed.includes(channel))).toEqual([]);
    // and what comes there before it is waited for is not lost; by hand, as the channel is left after a second
    const told = { job_id: second.id, status: 'finished', queue: 'default', worker: 'w1', result: 2 };
    await redis.client
      .multi()
      .hset(`rq:job:${second.id}`, { status: 'finished', result: '"read"' })
      .publish(channelOf(second), JSON.stringify(told))
      .exec();
    expect(await second.wait({ timeout: 15 })).toBe(2);
  });

  it('is left after a second where nobody waits, and none is subscribed to for later jobs', async () => {
    await using producer = new Queue('default', { connection: redis.url });
    await waitedFor(producer);
    const jobs: Job[] = [await producer.enqueue('f')];
    const second = channelOf(jobs[0] as Job);
    await expect.poll(channels, soon).toContain(second);
    for (let i = 1; i < 10; i++) jobs.push(await producer.enqueue('f'));
    expect(await channels()).not.toContain(channelOf(jobs[9] as Job));
    await expect.poll(channels, soon).not.toContain(second);
    const left = await channels();
    expect(jobs.map(channelOf).filter(channel => left.includes(channel))).toEqual([]);
  });

  it('is of no later job of enqueueMany, whose ids are in the order in which they were made', async () => {
    await using producer = new Queue('default', { connection: redis.url });
    await waitedFor(producer);
    await producer.enqueue('f');
    const many = await producer.enqueueMany([['f'], ['f'], ['f']]);
    const ids = many.map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted());
    const subscribed = await channels();
    expect(many.filter(job => subscribed.includes(channelOf(job)))).toEqual([]);
  });

  it('is shared by all who wait for the job, and by who follows its status', async () => {
    await using producer = new Queue('default', { connection: redis.url });
    await waitedFor(producer);
    const second = await producer.enqueue('sum', [[2]]);
    await expect.poll(channels, soon).toContain(channelOf(second));
    const both = Promise.all([second.wait({ timeout: 15 }), second.wait({ timeout: 15 })]);
    const followed = statuses(await all(second, work));
    expect([followed[0], followed.at(-1)]).toEqual(['queued', 'finished']);
    expect(await both).toEqual([2, 2]);
  });
});
