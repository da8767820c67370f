import { describe, expect, it } from 'vitest';
import { useQueue, useRedis } from '../support/in-process.ts';
import { ids, writeJobs } from '../support/jobs.ts';
import { Proxy } from '../support/proxy.ts';
import { RqProcess, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);

describe('rq requeue', () => {
  it('puts the jobs that are named back on their queue', async () => {
    await writeJobs(redis.client, ['a', 'b', 'c'], { status: 'failed' });
    expect(await rq(redis.url, 'requeue', '--queue', 'default', 'a', 'c')).toEqual({
      code: 0,
      out: 'Requeueing 2 jobs from failed queue\n',
      err: '',
    });
    expect((await q.getJobIds()).toSorted()).toEqual(['a', 'c']);
    expect(await q.failedRegistry.getJobIds()).toEqual(['b']);
    expect(await redis.client.hget('rq:job:a', 'status')).toBe('queued');
  });

  it('puts all back with --all, also stopped ones', async () => {
    await writeJobs(redis.client, ids('f', 3), { status: 'failed' });
    await writeJobs(redis.client, ['s'], { status: 'stopped' });
    const report = await rqJson(redis.url, 'requeue', '--queue', 'default', '--all');
    expect(report).toEqual({ requeued: 4, failed: [], left: 0 });
    expect(await q.count()).toBe(4);
  });

  it('says that there is nothing to do', async () => {
    await q.enqueue('f');
    const said = await rq(redis.url, 'requeue', '--queue', 'default', '--all');
    expect(said).toEqual({ code: 0, out: 'Nothing to do\n', err: '' });
  });

  it('ends with 1 for ids that are not there, did not fail, or are no ids, and names them', async () => {
    await writeJobs(redis.client, ['a'], { status: 'failed' });
    await q.enqueue('f', [], { jobId: 'waits' });
    const given = ['a', 'gone', 'waits', '\x1b[2J'];
    const said = await rq(redis.url, 'requeue', '--queue', 'default', ...given);
    const unable =
      /Unable to requeue 3 jobs from failed job registry: gone, waits, \\x1b\[2J; 'rq job' tells/;
    expect(said).toEqual({ ...complaint(unable, 1), out: 'Requeueing 4 jobs from failed queue\n' });
    expect(await q.getJobIds()).toEqual(['waits', 'a']);
  });

  it.each<[what: string, args: readonly string[], said: RegExp, code: number]>([
    ['neither ids nor --all', [], /their ids, or --all/, 2],
    ['both', ['a', '--all'], /their ids, or --all/, 2],
  ])('ends with %s', async (_, args, said, code) => {
    expect(await rq(redis.url, 'requeue', '--queue', 'default', ...args)).toEqual(complaint(said, code));
  });

  it('ends with 1 for a queue that there is none of', async () => {
    expect(await rq(redis.url, 'requeue', '--queue', 'nope', '--all')).toEqual(
      complaint(/no queue "nope".*rq info/, 1),
    );
  });

  it('leaves the rest alone where it is interrupted among 20,000, and goes on when it is asked again', async () => {
    await writeJobs(redis.client, ids('f', 20_000), { status: 'failed' });
    // through this process, which so is never far behind
    await using proxy = await Proxy.to(redis.port, 5);
    const process = new RqProcess(proxy.url, ['requeue', '--queue', 'default', '--all', '--json']);
    await expect.poll(() => q.count(), { timeout: 20_000, interval: 5 }).toBeGreaterThan(0);
    process.child.kill('SIGINT');
    const { code, out, err } = await process.end();
    const report = JSON.parse(out) as { requeued: number; failed: string[]; left: number };
    expect([code, err, report.failed]).toEqual([1, '', []]);
    expect(report.left).toBeGreaterThan(0);
    expect(report.requeued + report.left).toBe(20_000);
    expect([await q.count(), await q.failedRegistry.count()]).toEqual([report.requeued, report.left]);

    const rest = await rqJson(redis.url, 'requeue', '--queue', 'default', '--all');
    expect(rest).toEqual({ requeued: report.left, failed: [], left: 0 });
    expect(await q.count()).toBe(20_000);
    expect(new Set(await q.getJobIds()).size).toBe(20_000);
  });

  it('shows on a terminal how far it is', async () => {
    await writeJobs(redis.client, ids('f', 20_000), { status: 'failed' });
    await using proxy = await Proxy.to(redis.port, 5);
    await using terminal = await Terminal.open(proxy.url, ['requeue', '--queue', 'default', '--all']);
    await terminal.said(/Requeued \d+ of 20000/);
    terminal.type('\x03');
    expect(await terminal.end()).toBe(1);
    expect(terminal.out).toMatch(/\r\x1b\[KInterrupted: \d+ jobs were left alone\r\n$/);
  });
});
