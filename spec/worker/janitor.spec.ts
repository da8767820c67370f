import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore, type Swept } from '../../lib/worker-store.ts';
import { Janitor, type JanitorHooks } from '../../lib/worker/janitor.ts';
import { Worker } from '../../lib/worker/worker.ts';
import { useLink, useRedis } from '../support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);

/** A run of a worker that died: its lease has ended. */
async function abandoned(
  id: string,
  fields: Readonly<Record<string, string>> = {},
  queue = 'q',
): Promise<void> {
  const run = `n${id.padStart(31, '0')}`;
  await redis.client.hset(`rq:job:${id}`, {
    status: 'started',
    origin: queue,
    data: '["f",null,[],{}]',
    execution_id: run,
    worker_name: 'dead',
    ...fields,
  });
  await redis.client.zadd(`rq:wip:${queue}`, Date.now() / 1000 + 50, `${id}:${run}`);
}

interface Told {
  readonly swept: (readonly [queue: string, swept: Swept])[];
  readonly failed: string[];
}

function makeJanitor(name: string, queues: readonly string[]): { janitor: Janitor; told: Told } {
  const told: Told = { swept: [], failed: [] };
  const hooks: JanitorHooks = {
    swept: (queue, swept) => told.swept.push([queue, swept]),
    failed: queue => told.failed.push(queue),
    ticked: () => {},
    warn: () => {},
  };
  return { janitor: new Janitor(new WorkerStore(new Keys(), name, queues), link, hooks), told };
}

describe('Janitor', () => {
  it('has swept each queue once when start resolves', async () => {
    await abandoned('1');
    await abandoned('2', {}, 'r');
    const { janitor, told } = makeJanitor('w1', ['q', 'r']);
    await janitor.start();
    await janitor.stop();
    expect(told.swept.map(([queue, { recovered }]) => [queue, recovered])).toEqual([
      ['q', ['1']],
      ['r', ['2']],
    ]);
  });

  it('goes on until a round is done', async () => {
    for (let i = 0; i < 450; i++) await abandoned(`${i}`);
    const { janitor, told } = makeJanitor('w1', ['q']);
    await janitor.start();
    await janitor.stop();
    expect(told.swept.length).toBeGreaterThan(1);
    expect(await redis.client.llen('rq:queue:q')).toBe(450);
  });

  it('leaves a queue to another one that sweeps it', async () => {
    const [first, second] = [makeJanitor('w1', ['q']), makeJanitor('w2', ['q'])];
    await first.janitor.start();
    await second.janitor.start();
    await Promise.all([first.janitor.stop(), second.janitor.stop()]);
    expect(first.told.swept).toHaveLength(1);
    expect(second.told.swept).toHaveLength(0);
  });

  it('sweeps the other queues where one can’t be swept', async () => {
    await redis.client.set('rq:wip:q', 'x');
    await abandoned('2', {}, 'r');
    const { janitor, told } = makeJanitor('w1', ['q', 'r']);
    await janitor.start();
    await janitor.stop();
    expect(told.failed).toEqual(['q']);
    expect(await redis.client.lrange('rq:queue:r', 0, -1)).toEqual(['2']);
  });

  it('can be stopped before it started, and twice', async () => {
    await abandoned('1');
    const { janitor, told } = makeJanitor('w1', ['q']);
    await janitor.stop();
    await janitor.stop();
    await janitor.start();
    expect(told.swept).toEqual([]);
    expect(await redis.client.zcard('rq:wip:q')).toBe(1);
  });
});

describe('a worker that starts', () => {
  it('takes the jobs of a dead one back, and runs them first', async () => {
    await redis.client.hset('rq:job:waiting', { status: 'queued', origin: 'q', data: '["f",null,[],{}]' });
    await redis.client.rpush('rq:queue:q', 'waiting');
    await abandoned('1');
    const worker = new Worker('q', { connection: redis.url, functions: { f: () => 'ran' } });
    const order: string[] = [];
    worker.on('jobStarted', ({ jobId }) => order.push(jobId));
    const recovered = once(worker, 'recovered');
    await worker.work({ burst: true });
    expect(await recovered).toEqual(['q', ['1']]);
    expect(order).toEqual(['1', 'waiting']);
    expect(await redis.client.hgetall('rq:job:1')).toMatchObject({
      status: 'finished',
      result: '"ran"',
      recoveries: '1',
    });
  });

  it('gives a job up that three workers lost', async () => {
    await abandoned('1', { recoveries: '3' });
    const worker = new Worker('q', { connection: redis.url, functions: { f: () => 'ran' } });
    const given = once(worker, 'abandoned');
    await worker.work({ burst: true });
    expect(await given).toEqual(['q', ['1']]);
    expect(await redis.client.hgetall('rq:job:1')).toMatchObject({ status: 'failed' });
  });

  it('runs what a dead worker had claimed', async () => {
    const dead = new WorkerStore(new Keys(), 'dead', ['q']);
    const report = { state: 'idle', currentJob: '', finished: 0, failed: 0, seconds: 0 } as const;
    await dead.heartbeat(link.redis, report, ['queues', 'q']);
    await redis.client.del('rq:worker:dead');
    await redis.client.hset('rq:job:1', { status: 'queued', origin: 'q', data: '["f",null,[],{}]' });
    await redis.client.rpush('rq:worker:dead:claims:q', '1');
    await new Worker('q', { connection: redis.url, functions: { f: () => 'ran' } }).work({ burst: true });
    expect(await redis.client.hget('rq:job:1', 'result')).toBe('"ran"');
  });
});
