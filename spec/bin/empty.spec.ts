import { describe, expect, it } from 'vitest';
import { useQueue, useRedis } from '../support/in-process.ts';
import { ids, writeJobs } from '../support/jobs.ts';
import { Proxy } from '../support/proxy.ts';
import { RqProcess, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);

describe('rq empty', () => {
  it('deletes what waits on the queues that are named, and nothing else', async () => {
    await writeJobs(redis.client, ['a', 'b']);
    await writeJobs(redis.client, ['c'], { queue: 'other' });
    await writeJobs(redis.client, ['f'], { status: 'failed' });
    expect(await rq(redis.url, 'empty', 'default', '--yes')).toEqual({
      code: 0,
      out: '2 jobs removed from default queue\n',
      err: '',
    });
    expect(await redis.client.exists('rq:job:a', 'rq:job:b', 'rq:queue:default')).toBe(0);
    expect(await redis.client.exists('rq:job:c', 'rq:job:f')).toBe(2);
  });

  it('empties all queues', async () => {
    await writeJobs(redis.client, ['a', 'b']);
    await writeJobs(redis.client, ['c'], { queue: 'other' });
    const report = await rqJson(redis.url, 'empty', '--all', '-y');
    expect(report).toEqual({ deleted: { default: 2, other: 1 }, interrupted: false });
    expect(await redis.client.keys('rq:job:*')).toEqual([]);
  });

  it('has nothing to do where there is no queue', async () => {
    expect(await rq(redis.url, 'empty', '--all')).toEqual({ code: 0, out: 'Nothing to do\n', err: '' });
  });

  it.each<[what: string, args: readonly string[], said: RegExp, code: number]>([
    ['no queue', ['--yes'], /their names, or --all/, 2],
    ['queues and --all', ['default', '--all'], /their names, or --all/, 2],
    ['an unknown queue', ['nope', '--yes'], /no queue "nope"/, 1],
  ])('ends with one line for %s', async (_, args, said, code) => {
    expect(await rq(redis.url, 'empty', ...args)).toEqual(complaint(said, code));
  });

  it('deletes nothing where nobody can be asked', async () => {
    await writeJobs(redis.client, ['a', 'b']);
    expect(await rq(redis.url, 'empty', 'default')).toEqual(
      complaint(/Delete 2 waiting jobs of default\?.*--yes/, 2),
    );
    expect(await q.count()).toBe(2);
  });

  it('asks for jobs that wait aside as well', async () => {
    await writeJobs(redis.client, ['a']);
    await writeJobs(redis.client, ['b', 'c'], { place: 'nowhere' });
    await redis.client.zadd('rq:aside:default', 1, 'b', 2, 'c');
    expect(await rq(redis.url, 'empty', 'default')).toEqual(
      complaint(/Delete 3 waiting jobs of default\?/, 2),
    );
    expect((await rq(redis.url, 'empty', 'default', '--yes')).out).toBe(
      '3 jobs removed from default queue\n',
    );
  });

  it.each([
    ['y\r', 0, 0],
    ['yes\r', 0, 0],
    ['n\r', 1, 2],
    ['\r', 1, 2],
    ['what\r', 1, 2],
    ['\x03', 1, 2],
    ['\x04', 1, 2],
  ])('asks on a terminal: %j', async (answer, code, left) => {
    await writeJobs(redis.client, ['a', 'b']);
    await using terminal = await Terminal.open(redis.url, ['empty', 'default']);
    await terminal.said(/Delete 2 waiting jobs of default\? \[y\/N\] /);
    terminal.type(answer);
    expect(await terminal.end()).toBe(code);
    // on a line of its own
    expect(terminal.out).toMatch(
      code === 0 ? /\r\x1b\[K2 jobs removed from default queue\r\n$/ : /\nNothing was done\r\n$/,
    );
    expect(await q.count()).toBe(left);
  });

  it('leaves the rest alone where it is interrupted among 20,000', async () => {
    await writeJobs(redis.client, ids('a', 20_000));
    // through this process, which so is never far behind
    await using proxy = await Proxy.to(redis.port, 5);
    const process = new RqProcess(proxy.url, ['empty', 'default', '--yes', '--json']);
    await expect.poll(() => q.count(), { timeout: 20_000, interval: 1 }).toBeLessThan(20_000);
    process.child.kill('SIGINT');
    const { code, out, err } = await process.end();
    const { deleted, interrupted } = JSON.parse(out) as {
      deleted: { default: number };
      interrupted: boolean;
    };
    const left = await q.count();
    expect([code, err, interrupted]).toEqual([1, '', true]);
    expect(left).toBeGreaterThan(0);
    expect(deleted.default + left).toBe(20_000);
    expect(await redis.client.keys('rq:job:*')).toHaveLength(left);
  });
});
