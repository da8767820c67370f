import { describe, expect, it } from 'vitest';
import { useFolder } from '../support/folder.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);
const low = useQueue(redis, 'low');
const folder = useFolder();

const DAILY = `export default [
  { pattern: '@daily', fn: 'report', args: ['day'] },
  { pattern: '@hourly', fn: 'clean', queue: 'low' },
];`;

describe('rq cron', () => {
  it('sets the crons of a module, and says when they come', async () => {
    const path = await folder.write('cron.mjs', DAILY);
    const said = await rq(redis.url, 'cron', path);
    const [report] = await q.crons();
    const [clean] = await low.crons();
    expect(report).toMatchObject({ name: 'report', pattern: '@daily', description: 'report("day")' });
    expect(said).toEqual({
      code: 0,
      out: [
        `default: report  @daily  UTC  next ${report?.nextRunAt?.toISOString()}`,
        `low: clean  @hourly  UTC  next ${clean?.nextRunAt?.toISOString()}`,
        '2 crons\n',
      ].join('\n'),
      err: '',
    });
  });

  it('lists those of all queues, or of one', async () => {
    await q.cron('@daily', 'report');
    await low.cron('@hourly', 'clean');
    expect(await rqJson(redis.url, 'cron')).toMatchObject([
      { name: 'report', queue: 'default' },
      { name: 'clean', queue: 'low' },
    ]);
    expect(await rqJson(redis.url, 'cron', '--json', '--queue', 'low')).toMatchObject([{ name: 'clean' }]);
    expect((await rq(redis.url, 'cron', '-q', 'none')).out).toBe('0 crons\n');
  });

  it('removes one', async () => {
    await low.cron('@hourly', 'clean');
    const said = await rq(redis.url, 'cron', '--queue', 'low', '--remove', 'clean');
    expect(said).toEqual({ code: 0, out: 'Removed clean from low\n', err: '' });
    expect(await low.crons()).toEqual([]);
    const again = await rq(redis.url, 'cron', '--queue', 'low', '--remove', 'clean');
    expect(again).toEqual(complaint(/There is no cron clean on queue low/, 1));
  });

  it('refuses what it can’t set, and sets nothing', async () => {
    const path = await folder.write('bad.mjs', `export default [{ pattern: 'soon', fn: 'f' }];`);
    expect(await rq(redis.url, 'cron', path)).toEqual(complaint(/soon/, 2));
    expect(await rq(redis.url, 'cron', path, '--remove', 'x')).toEqual(complaint(/exclude each other/, 2));
    expect(await redis.client.dbsize()).toBe(0);
  });
});
