import { describe, expect, it } from 'vitest';
import { useRedis, useWorkers } from '../support/in-process.ts';
import { ids, writeJobs } from '../support/jobs.ts';
import { NASTY, RqProcess, STEERS, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const makeWorker = useWorkers(redis);

async function someWorker(name: string, queues: readonly string[]): Promise<void> {
  const worker = makeWorker({ f: () => 1 }, { name }, queues);
  void worker.work();
  await expect.poll(() => redis.client.hget(`rq:worker:${name}`, 'state'), { timeout: 15_000 }).toBe('idle');
}

describe('rq info', () => {
  it('shows what each queue holds, in RQ’s words', async () => {
    await writeJobs(redis.client, ids('a', 10));
    await writeJobs(redis.client, ids('f', 2), { status: 'failed' });
    await writeJobs(redis.client, ids('d', 3), { status: 'finished', queue: 'other' });
    const { code, out, err } = await rq(redis.url, 'info');
    expect(out.split('\n')).toEqual([
      'default      |██████████ 10, 0 executing, 0 finished, 2 failed',
      'other        | 0, 0 executing, 3 finished, 0 failed',
      '2 queues, 10 jobs total',
      '',
      '0 workers, 2 queues',
      '',
      expect.stringMatching(/^Updated: \d{4}-/),
      '',
    ]);
    expect([code, err]).toEqual([0, '']);
  });

  it('shows workers, and which listen to a queue', async () => {
    await writeJobs(redis.client, ['a'], { queue: 'unheard' });
    await redis.client.sadd('rq:queues', 'rq:queue:q');
    await someWorker('w', ['q']);
    const worker = /^w \(\S+ \S+ \d+\)/;
    const all = await rq(redis.url, 'info', '-W');
    expect(all.out.split('\n')[0]).toMatch(worker);
    expect(all.out).toMatch(/: idle q\. jobs: 0 finished, 0 failed\n1 workers, 2 queues\n$/);
    const raw = await rq(redis.url, 'info', '--raw', 'q');
    expect(raw.out).toMatch(
      /^queue q 0, 0 executing, 0 finished, 0 failed\nworker w \(.*\) idle q\. jobs: .*\n$/,
    );
    const byQueue = await rq(redis.url, 'info', '-R');
    expect(byQueue.out).toContain('\nq:       w (idle)\nunheard: –\n1 workers, 2 queues\n');
    expect((await rq(redis.url, 'info', 'unheard')).out).toContain('0 workers, 1 queues');
  });

  it('shows queues only with -Q', async () => {
    await writeJobs(redis.client, ['a']);
    const { out } = await rq(redis.url, 'info', '-Q');
    expect(out).toBe('default      |█ 1, 0 executing, 0 finished, 0 failed\n1 queues, 1 jobs total\n');
  });

  it('tells as JSON how backlogs move', async () => {
    await writeJobs(redis.client, ['a', 'b'], { age: 100 });
    const now = Date.now() / 1000;
    await redis.client.set('rq:taken:default', '120');
    await redis.client.rpush('rq:samples:default', `${now - 60} 2 0`);
    await redis.client.hset('rq:limits:default', 'paused', 'x', 'rate', '10/60000');
    await redis.client.zadd('rq:aside:default', 1, 'c');
    await redis.client.set('rq:suspended', '1');
    const { suspended, queues, workers } = await rqJson<{
      suspended: boolean;
      workers: unknown[];
      queues: Record<string, number>[];
    }>(redis.url, 'info');
    expect([suspended, workers]).toEqual([true, []]);
    const [queue] = queues;
    expect(queue).toMatchObject({
      name: 'default',
      queued: 2,
      length: 2,
      paused: true,
      rate: '10/m',
      failed: 0,
      parked: 1,
    });
    expect(queue?.['departures']).toBeCloseTo(2, 0);
    expect(queue?.['arrivals']).toBeCloseTo(2, 0);
    expect(queue?.['oldestAge']).toBeGreaterThanOrEqual(99);
  });

  it('says null where no worker has seen how a backlog moves', async () => {
    await writeJobs(redis.client, ['a']);
    const { queues } = await rqJson<{ queues: object[] }>(redis.url, 'info', '-Q');
    expect(queues[0]).toMatchObject({ arrivals: null, departures: null, rate: null });
  });

  it.each<[what: string, args: readonly string[], said: RegExp, code: number]>([
    ['an unknown queue', ['nope'], /no queue "nope"/, 1],
    ['an unknown queue that steers', ['\x1b[2J'], /no queue "\\u001b\[2J"/, 1],
    ['-Q and -W', ['-Q', '-W'], /exclude/, 2],
    ['an interval of 0', ['-i', '0'], /interval.*'0'/, 2],
    ['--samples alone', ['--samples', '5'], /--memory/, 2],
  ])('ends with one line for %s', async (_, args, said, code) => {
    expect(await rq(redis.url, 'info', ...args)).toEqual(complaint(said, code));
  });

  it('ends with one line, and a way to find it, for a key of another type', async () => {
    await redis.client.set('rq:queues', 'x');
    expect(await rq(redis.url, 'info')).toEqual(complaint(/WRONGTYPE.*rq doctor/, 1));
  });

  it('shows queues whose names Node can’t use, and lets no name steer a terminal', async () => {
    await redis.client.sadd('rq:queues', `rq:queue:${NASTY}`, 'rq:queue:my queue');
    await redis.client.sadd('rq:workers', 'rq:worker:w');
    await redis.client.hset('rq:worker:w', { queues: NASTY, state: NASTY, hostname: NASTY, birth: 'x' });
    await using terminal = await Terminal.open(redis.url, ['info']);
    expect(await terminal.end()).toBe(0);
    expect(terminal.out).toContain('my queue');
    const text = terminal.out.replaceAll(/\x1b\[\d+m/g, '').replaceAll('\r\n', '\n');
    expect(text).toContain('a\\x1b[31mred');
    expect(text).not.toMatch(STEERS);
  });

  it('colours its bars on a terminal', async () => {
    await writeJobs(redis.client, ids('a', 20));
    await using terminal = await Terminal.open(redis.url, ['info']);
    expect(await terminal.end()).toBe(0);
    expect(terminal.out).toContain(`\x1b[32m|${'█'.repeat(20)}\x1b[39m 20`);
  });

  it('looks again with -i, and ends at Ctrl-C with 0', async () => {
    const process = new RqProcess(redis.url, ['info', '--raw', '-i', '0.2']);
    await writeJobs(redis.client, ['a']);
    await expect
      .poll(() => process.out, { timeout: 10_000 })
      .toMatch(/queue default 1,.*\n(?:.*\n)*queue default 1,/);
    process.child.kill('SIGINT');
    expect((await process.end()).code).toBe(0);
  });
});

describe('rq info --memory', () => {
  it('tells bytes by queue and registry, and how many jobs were measured', async () => {
    await writeJobs(redis.client, ids('a', 300), { fields: { meta: 'x'.repeat(1000) } });
    await writeJobs(redis.client, ids('f', 5), { status: 'failed' });
    const { out } = await rq(redis.url, 'info', '--memory');
    expect(out).toMatch(
      /^default +queued +300 jobs +\d+\.\d KiB +1\.\d KiB a job +100 sampled\ndefault +failed +5 jobs .* 5 sampled\n/,
    );
    expect(out).toMatch(/\n\S+ KiB for 305 jobs: 105 of them were measured, the others are estimated\n$/);
  });

  it('measures all where they are few, to the byte', async () => {
    await writeJobs(redis.client, ids('a', 3));
    await redis.client.xadd('rq:results:a-0', '*', 'type', '1');
    await writeJobs(redis.client, ['b'], { place: 'nowhere' });
    await redis.client.zadd('rq:aside:default', 1, 'b');
    const aside = Number(await redis.client.memory('USAGE', 'rq:aside:default'));
    const parked = Number(await redis.client.memory('USAGE', 'rq:job:b')) + aside;
    const keys = [...ids('rq:job:a', 3), 'rq:results:a-0', 'rq:queue:default'];
    const sizes = await Promise.all(keys.map(key => redis.client.memory('USAGE', key, 'SAMPLES', 0)));
    const bytes = sizes.reduce<number>((sum, size) => sum + Number(size), 0);
    const report = await rqJson(redis.url, 'info', '--memory', 'default');
    expect(report).toMatchObject({
      bytes: bytes + parked,
      jobs: 4,
      sampled: 4,
      places: [
        { queue: 'default', place: 'queued', bytes },
        { queue: 'default', place: 'parked', bytes: parked },
      ],
    });
  });
});
