import { describe, expect, it } from 'vitest';
import { clip, columns, widthOf } from '../../bin/table.ts';
import { useRedis, useWorkers } from '../support/in-process.ts';
import { ids, writeJobs } from '../support/jobs.ts';
import { NASTY, STEERS, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const makeWorker = useWorkers(redis);
const ALTERNATE = '\x1b[?1049h';
const RESTORED = '\x1b[?7h\x1b[?25h\x1b[?1049l';

describe('the columns of rq top', () => {
  it('are as wide as a terminal shows them', () => {
    expect(['abc', '世界', '👍', 'e\u0301', '\x1b[31mred\x1b[39m'].map(widthOf)).toEqual([3, 4, 2, 1, 3]);
    expect([clip('abcdef', 4), clip('世界人', 4), clip('abc', 3), clip('abc', 0)]).toEqual([
      'abc…',
      '世…',
      'abc',
      '',
    ]);
    expect(
      columns(
        [
          ['a', '1'],
          ['世界', '20'],
        ],
        [1],
      ),
    ).toEqual(['a      1', '世界  20']);
  });
});

describe('rq top --once', () => {
  it('prints one frame: queues, workers and failures', async () => {
    await writeJobs(redis.client, ids('a', 12), { age: 200 });
    await writeJobs(redis.client, ['f'], { status: 'failed', age: 30 });
    await redis.client.hset('rq:limits:default', 'paused', 'x', 'rate', '10/60000');
    makeWorker({ f: () => 1 }, { name: 'w' })
      .work()
      .catch(() => {});
    await expect.poll(() => redis.client.hget('rq:worker:w', 'state'), { timeout: 15_000 }).toBe('idle');
    await redis.client.zadd('rq:aside:default', 1, 'b', 2, 'c');
    // 1.0 a second, also where the command takes some seconds to look
    await redis.client.set('rq:taken:default', '62');
    await redis.client.rpush('rq:samples:default', `${Date.now() / 1000 - 60} 12 0`);
    const { code, out, err } = await rq(redis.url, 'top', '--once');
    expect(out).toMatch(
      /^rq top {2}127\.0\.0\.1:\d+ {2}\d\d:\d\d:\d\d\n\nQUEUE +WAITING +IN\/S +OUT\/S +OLDEST/,
    );
    expect(out).toMatch(/^default +12 +1\.0 +1\.0 +3m +0 +1 +0 +0 +paused, 10\/m, 2 parked$/m);
    expect(out).toMatch(/^w +idle +q +0 +0 +\d+s ago$/m);
    expect(out).toMatch(/^\d\ds ago +default +f +Error: no +f$/m);
    expect([code, err]).toEqual([0, '']);
  });

  it('says that nothing is there', async () => {
    const { out } = await rq(redis.url, 'top', '--once');
    for (const what of ['queues', 'workers', 'failures']) expect(out).toContain(`no ${what}\n`);
  });
});

describe('rq top --json', () => {
  it('prints one frame', async () => {
    await writeJobs(redis.client, ids('f', 30), { status: 'failed' });
    const frame = await rqJson<{ failures: object[] }>(redis.url, 'top');
    expect(frame).toMatchObject({
      suspended: false,
      workers: [],
      queues: [{ name: 'default', failed: 30, arrivals: null, rate: null, paused: false }],
    });
    expect(frame.failures).toHaveLength(10);
    expect(frame.failures[0]).toMatchObject({ queue: 'default', functionName: 'f', error: 'Error: no' });
  });
});

describe('rq top on a terminal', () => {
  it.each([
    ['q', 'q'],
    ['Ctrl-C', '\x03'],
  ])('is drawn anew, and ends on %s with the screen as it was', async (_, key) => {
    await using terminal = await Terminal.open(redis.url, ['top', '-i', '0.1']);
    await terminal.said(/no queues/);
    expect(terminal.out.startsWith(ALTERNATE)).toBe(true);
    await writeJobs(redis.client, ids('a', 7));
    await terminal.said(/default +7 /);
    terminal.type(key);
    expect(await terminal.end()).toBe(0);
    expect(terminal.out.endsWith(RESTORED)).toBe(true);
  });

  it('fits the terminal, and follows its size', async () => {
    for (const queue of ids('queue', 60)) await writeJobs(redis.client, [queue], { queue });
    await using terminal = await Terminal.open(redis.url, ['top', '-i', '0.1'], { rows: 30, columns: 100 });
    await expect.poll(() => terminal.frame, { timeout: 15_000 }).toMatch(/… \d+ more queues/);
    const lines = (): string[] => terminal.frame.split('\r\n');
    expect(lines().length).toBeLessThanOrEqual(30);
    expect(widthOf(lines()[2] ?? '')).toBeGreaterThan(40);
    await terminal.resize(15, 40);
    const widest = (): number => Math.max(...lines().map(widthOf));
    // rows and columns are two changes
    await expect.poll(widest, { timeout: 15_000 }).toBeLessThanOrEqual(40);
    expect(lines().length).toBeLessThanOrEqual(15);
    terminal.type('q');
    expect(await terminal.end()).toBe(0);
  });

  it('says that Redis is gone, and goes on when it is back', async () => {
    await using terminal = await Terminal.open(redis.url, ['top', '-i', '0.1']);
    await terminal.said(/no queues/);
    await redis.client.call('ACL', 'SETUSER', 'default', '-scard', '-smembers');
    await terminal.said(/NOPERM/);
    await redis.client.call('ACL', 'SETUSER', 'default', '+@all');
    await writeJobs(redis.client, ['a']);
    await expect.poll(() => terminal.frame, { timeout: 15_000 }).toMatch(/default +1 /);
    expect(terminal.frame).not.toContain('NOPERM');
    terminal.type('q');
    expect(await terminal.end()).toBe(0);
  });

  it('lets nothing that others wrote steer it', async () => {
    const data = JSON.stringify([NASTY, null, [], {}]);
    await writeJobs(redis.client, ['f'], {
      status: 'failed',
      fields: { data, exc_info: `${NASTY}: ${NASTY}` },
    });
    await redis.client.sadd('rq:queues', `rq:queue:${NASTY}`);
    await using terminal = await Terminal.open(redis.url, ['top'], { columns: 200 });
    await expect.poll(() => terminal.frame, { timeout: 15_000 }).toContain('a\\x1b[31mred');
    expect(terminal.frame.replaceAll('\r\n', '\n')).not.toMatch(STEERS);
    terminal.type('q');
    expect(await terminal.end()).toBe(0);
  });

  it('ends with one line where there is no terminal, or no interval', async () => {
    expect(await rq(redis.url, 'top')).toEqual(complaint(/--once or --json/, 2));
    expect(await rq(redis.url, 'top', '-i', '0')).toEqual(complaint(/interval.*'0'/, 2));
  });

  it('draws nothing where there is no Redis', async () => {
    await using terminal = await Terminal.open(redis.url.replace('//', '//bob:sekret@'), ['top']);
    expect(await terminal.end()).toBe(1);
    expect(terminal.out).toMatch(/^rq: .*WRONGPASS.*\r\n$/);
  });
});
