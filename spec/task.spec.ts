/** `task` and `queue.task`: one place says how a function is queued. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskOptions } from '../lib/functions.ts';
import { Queue } from '../lib/queue.ts';
import { task } from '../lib/task.ts';
import { Worker } from '../lib/worker/worker.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'mail');
const urlBefore = process.env['RQ_REDIS_URL'];

beforeAll(() => {
  process.env['RQ_REDIS_URL'] = redis.url;
});
afterAll(() => {
  if (urlBefore === undefined) delete process.env['RQ_REDIS_URL'];
  else process.env['RQ_REDIS_URL'] = urlBefore;
});

const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
const list = (name: string): Promise<string[]> => redis.client.lrange(`rq:queue:${name}`, 0, -1);

describe('task', () => {
  it('refuses what is no function', () => {
    expect(() => task('f' as never)).toThrow(/task needs a function, not "f"/);
  });

  it('refuses an option that it does not know', () => {
    expect(() => task(() => 1, { que: 'x' } as TaskOptions)).toThrow(/"que".*did you mean "queue"/);
  });

  it.each(['jobId', 'kwargs'])('refuses %s, which belongs to one call', name => {
    expect(() => task(() => 1, { [name]: 'x' })).toThrow(new RegExp(`"${name}"`));
  });

  it.each([
    { name: 'a b' },
    { name: '' },
    { queue: 'a b' },
    { timeout: 0 },
    { resultTtl: '500ms' },
    { atFront: 1 },
    { meta: [] },
    { meta: { when: new Date() } },
  ])('refuses %j at once', options => {
    expect(() => task(() => 1, options as unknown as TaskOptions)).toThrow(/must be|can't|is a Date/);
  });

  it('gives the function itself back', async () => {
    const twice = (x: number): number => x * 2;
    const queued = task(twice, { name: 'numbers.twice' });
    expect(queued).toBe(twice);
    expect(queued(4)).toBe(8);
  });

  it('puts a call on its queue, at RQ_REDIS_URL', async () => {
    const twice = task((x: number): number => x * 2, { name: 'numbers.twice', queue: 'numbers' });
    const job = await twice.delay(4);
    expect(job.origin).toBe('numbers');
    expect(await list('numbers')).toEqual([job.id]);
    expect((await hash(job.id))['data']).toBe('["numbers.twice",null,[4],{}]');
  });

  it('uses the queue default unless it is told otherwise', async () => {
    function plain(): void {}
    const job = await task(plain).delay();
    expect(await list('default')).toEqual([job.id]);
    expect((await hash(job.id))['data']).toBe('["plain",null,[],{}]');
  });

  it('gives each call the function’s defaults', async () => {
    const send = task((to: string): string => to, {
      name: 'send',
      queue: 'mail',
      timeout: '1m',
      ttl: 50,
      resultTtl: 60,
      failureTtl: 70,
      description: 'sends',
      meta: { by: 'task' },
      atFront: true,
    });
    await q.enqueue('other');
    const { id } = await send.delay('a');
    expect((await list('mail'))[0]).toBe(id);
    expect(await hash(id)).toMatchObject({
      timeout: '60',
      ttl: '50',
      result_ttl: '60',
      failure_ttl: '70',
      description: 'sends',
      meta: '{"by":"task"}',
    });
  });

  it('also counts where the function is enqueued by hand, on any queue', async () => {
    const send = task((to: string): string => to, { name: 'send', queue: 'mail', timeout: 9, resultTtl: 8 });
    await using other = new Queue('other', { connection: redis.url });
    const job = await other.enqueue(send, ['a'], { resultTtl: 7 });
    expect(await list('other')).toEqual([job.id]);
    expect(await list('mail')).toEqual([]);
    expect(await hash(job.id)).toMatchObject({
      data: '["send",null,["a"],{}]',
      timeout: '9',
      result_ttl: '7',
    });
  });

  it('counts before the queue’s own defaults', async () => {
    const send = task((): void => {}, { name: 'send', timeout: 9 });
    await using queue = new Queue('q', { connection: redis.url, defaultTimeout: 5, defaultResultTtl: 6 });
    const job = await queue.enqueue(send);
    expect(await hash(job.id)).toMatchObject({ timeout: '9', result_ttl: '6' });
  });

  it('registers the function under its name with a worker', async () => {
    const twice = task((x: number): number => x * 2, { name: 'numbers.twice', queue: 'numbers' });
    const job = await twice.delay(21);
    await new Worker('numbers', { connection: redis.url, functions: { twice } }).work({ burst: true });
    expect(await job.result).toBe(42);
  });

  it('keeps delay’s argument and result types', async () => {
    const length = task((text: string): number => text.length, { name: 'length', queue: 'types' });
    // @ts-expect-error it takes a text
    const wrong = (): unknown => length.delay(1);
    expect(wrong).toBeTypeOf('function');
    const job = await length.delay('abc');
    const result: number | undefined = await job.result;
    expect(result).toBeUndefined();
  });
});

describe('Queue.task', () => {
  it('puts a call on that queue, over its connection', async () => {
    const send = q.task((to: string): string => to, { name: 'send', timeout: 30 });
    const job = await send.delay('a');
    expect(job.origin).toBe('mail');
    expect(await list('mail')).toEqual([job.id]);
    expect(await hash(job.id)).toMatchObject({ data: '["send",null,["a"],{}]', timeout: '30' });
  });

  it('keeps the function’s own name without options', async () => {
    function greet(): string {
      return 'hello';
    }
    const job = await q.task(greet).delay();
    expect((await hash(job.id))['data']).toBe('["greet",null,[],{}]');
  });

  it('runs the call at once where the queue is synchronous', async () => {
    await using queue = new Queue('mail', { connection: redis.url, isAsync: false });
    const twice = queue.task((x: number): number => x * 2, { name: 'twice' });
    const job = await twice.delay(4);
    expect(await job.result).toBe(8);
  });
});
