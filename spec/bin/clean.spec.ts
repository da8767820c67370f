import { describe, expect, it } from 'vitest';
import { useQueue, useRedis } from '../support/in-process.ts';
import { ids, writeJobs } from '../support/jobs.ts';
import { Proxy } from '../support/proxy.ts';
import { NASTY, RqProcess, STEERS, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);
const OLD = 8 * 86_400;

describe('rq clean', () => {
  it('shows with --dry-run what it would delete, and leaves it', async () => {
    await writeJobs(redis.client, ids('f', 2), { status: 'failed', age: OLD });
    await writeJobs(redis.client, ['new'], { status: 'failed' });
    await writeJobs(redis.client, ['orphan'], { age: OLD, place: 'nowhere' });
    await redis.client.rpush('rq:queue:default', 'gone');
    const before = (await redis.client.keys('*')).toSorted();
    const said = await rq(
      redis.url,
      'clean',
      '--older-than',
      '7d',
      '--status',
      'failed,finished',
      '--dry-run',
    );
    expect(said).toEqual({
      code: 0,
      out:
        'Would delete 2 failed jobs of default\n' +
        'Would delete 1 job that nothing leads to: orphan (queued, default)\n' +
        'Would delete 1 id without a job from queued of default: gone\n',
      err: '',
    });
    expect((await redis.client.keys('*')).toSorted()).toEqual(before);
  });

  it('deletes it with --yes', async () => {
    await writeJobs(redis.client, ids('f', 2), { status: 'failed', age: OLD });
    await writeJobs(redis.client, ['orphan'], { age: OLD, place: 'nowhere' });
    const { code, out } = await rq(redis.url, 'clean', '--older-than', '7d', '--yes', '--grace', '1s');
    expect(out).toMatch(/^Deleted 2 failed jobs of default\nDeleted 1 job that nothing leads to: orphan/);
    expect(code).toBe(0);
    expect(await redis.client.keys('rq:job:*')).toEqual([]);
  });

  it('touches no ended job unless it is asked to', async () => {
    await writeJobs(redis.client, ids('f', 2), { status: 'failed', age: OLD });
    expect(await rq(redis.url, 'clean', '--yes')).toEqual({ code: 0, out: 'Nothing to clean\n', err: '' });
    expect(await q.failedRegistry.count()).toBe(2);
  });

  it('tells as JSON what it deleted', async () => {
    await writeJobs(redis.client, ['f'], { status: 'failed', queue: 'other' });
    await writeJobs(redis.client, ['g'], { status: 'failed' });
    const args = ['clean', '--status', 'failed', '--queue', 'other', '--no-orphans', '--yes'];
    expect(await rqJson(redis.url, ...args)).toEqual({
      ended: [{ queue: 'other', status: 'failed', count: 1 }],
      orphans: [],
      strayIds: [],
      deleted: true,
      interrupted: false,
    });
    expect(await redis.client.keys('rq:job:*')).toEqual(['rq:job:g']);
  });

  it.each([
    ['y\r', 0, 0],
    ['\r', 1, 2],
    ['\x03', 1, 2],
  ])('asks on a terminal: %j', async (answer, code, left) => {
    await writeJobs(redis.client, ids('f', 2), { status: 'failed' });
    await using terminal = await Terminal.open(redis.url, ['clean', '--status', 'failed']);
    await terminal.said(/Found 2 failed jobs of default\r\n[^]*Delete 2 failed jobs of default\? \[y\/N\] /);
    terminal.type(answer);
    expect(await terminal.end()).toBe(code);
    expect(await q.failedRegistry.count()).toBe(left);
  });

  it('deletes nothing where nobody can be asked', async () => {
    await writeJobs(redis.client, ['f'], { status: 'failed' });
    const { code, err } = await rq(redis.url, 'clean', '--status', 'failed');
    expect(err).toMatch(/^rq: Delete 1 failed job of default\?.*--yes\n$/);
    expect([code, await q.failedRegistry.count()]).toEqual([2, 1]);
  });

  it.each<[what: string, args: readonly string[], said: RegExp, code: number]>([
    ['an unknown queue', ['--queue', 'nope'], /no queue "nope"/, 1],
    ['a status that no job ends with', ['--status', 'queued'], /finished,failed,stopped,canceled/, 2],
    ['an age that is none', ['--older-than', 'long', '--yes'], /olderThan.*"long"/, 2],
  ])('ends with one line for %s', async (_, args, said, code) => {
    expect(await rq(redis.url, 'clean', ...args)).toEqual(complaint(said, code));
  });

  it('leaves the rest alone where it is interrupted among 20,000', async () => {
    await writeJobs(redis.client, ids('f', 20_000), { status: 'failed' });
    // through this process, which so is never far behind
    await using proxy = await Proxy.to(redis.port, 5);
    const process = new RqProcess(proxy.url, [
      'clean',
      '--status',
      'failed',
      '--yes',
      '--no-orphans',
      '--json',
    ]);
    await expect
      .poll(() => redis.client.zcard('rq:failed:default'), { timeout: 20_000, interval: 1 })
      .toBeLessThan(20_000);
    process.child.kill('SIGINT');
    const { code, out, err } = await process.end();
    const { ended, interrupted } = JSON.parse(out) as { ended: { count: number }[]; interrupted: boolean };
    const left = await redis.client.zcard('rq:failed:default');
    expect([code, err, interrupted]).toEqual([1, '', true]);
    expect(left).toBeGreaterThan(0);
    expect((ended[0]?.count ?? 0) + left).toBe(20_000);
  });

  it('lets no status and no id steer a terminal', async () => {
    await redis.client.sadd('rq:queues', 'rq:queue:default');
    await redis.client.rpush('rq:queue:default', NASTY);
    await using terminal = await Terminal.open(redis.url, ['clean', '--dry-run']);
    expect(await terminal.end()).toBe(0);
    const text = terminal.out.replaceAll('\r\n', '\n').replaceAll(/\r\x1b\[K|Looked at \d+/g, '');
    expect(text).toContain('a\\x1b[31mred');
    expect(text).not.toMatch(STEERS);
  });
});
