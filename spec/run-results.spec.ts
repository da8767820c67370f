/** What a worker does with a job whose results Redis did not fill in: where Python queued it, they are read first. */
import { afterAll, describe, expect, it } from 'vitest';
import { Link } from '../lib/connection.ts';
import { Keys } from '../lib/keys.ts';
import type { Outcome } from '../lib/outcome.ts';
import { Run } from '../lib/run.ts';
import { Store } from '../lib/store.ts';
import { useLink, useRedis } from './support/in-process.ts';

const redis = useRedis();
const link = useLink(redis);

const TAKES = String.raw`["fn",null,["\u006aob:a",{"b":["\u006aob:b","\u006aob:a"]}],{}]`;

/** What came of a run, and what its function was given. */
async function run(
  over: Link,
  fields: Readonly<Record<string, string>> = {},
): Promise<{ outcome: Outcome; given: readonly unknown[] }> {
  const all = Object.entries({ status: 'queued', data: TAKES, takes_results: '1', ...fields });
  const started = { place: 0, jobId: 'taker', executionId: 'n1', fields: new Map(all) };
  const by = { queue: 'q', worker: 'w', at: '2026-01-02T03:04:05.678901Z' };
  const one = new Run(new Store(over, new Keys()), started, by);
  const given: unknown[] = [];
  const fn = (...args: readonly unknown[]): number => given.push(...args);
  const outcome = await new Promise<Outcome>(resolve => one.perform(new Map([['fn', fn]]), {}, resolve));
  return { outcome, given };
}
const put = (id: string, fields: Record<string, string>) =>
  redis.client.hset(`rq:job:${id}`, { origin: 'q', ...fields });

describe('a run whose job still holds tokens', () => {
  it('is given results from the hash, from Python’s stream, and those kept with the job', async () => {
    await put('a', { status: 'finished', result: '[]' });
    await put('b', { status: 'finished', result: '"old"' });
    await redis.client.xadd('rq:results:b', '*', 'type', '1', 'return_value', btoa('{"x":null}'));
    expect((await run(link)).given).toEqual([[], { b: [{ x: null }, []] }]);
    expect((await run(link, { 'argument:a': '"kept"' })).given).toEqual([
      'kept',
      { b: [{ x: null }, 'kept'] },
    ]);
  });

  it('is given null of a job that failed, only where that is allowed', async () => {
    await put('a', { status: 'failed', exc_info: 'TypeError: no' });
    await put('b', { status: 'finished', result: '1' });
    expect((await run(link, { allow_dependency_failures: '1' })).given).toEqual([null, { b: [1, null] }]);
    const { outcome, given } = await run(link);
    expect(outcome).toMatchObject({
      status: 'failed',
      text: expect.stringContaining('needs job a, which failed'),
    });
    expect(given).toEqual([]);
  });

  it('fails where a result can’t be had any more', async () => {
    await put('a', { status: 'finished', result: '1' });
    const { outcome } = await run(link);
    expect(outcome).toMatchObject({
      status: 'failed',
      text: expect.stringMatching(/^DependencyFailedError: Job taker needs job b, which is gone/),
    });
  });

  describe('while Redis is away', () => {
    const away = Link.own('redis://127.0.0.1:1', { deadlineMs: 100 });
    afterAll(() => away.close());

    it('goes back to its queue, as nothing of it has begun', async () => {
      expect(await run(away)).toEqual({ outcome: 'returned', given: [] });
    });
  });
});
