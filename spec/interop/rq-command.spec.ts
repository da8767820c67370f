/** `rq` of both languages on one Redis: the same words for the same things. */
import { describe, expect, it } from 'vitest';
import { writeJobs } from '../support/jobs.ts';
import { rq as node } from '../support/rq.ts';
import { useBoth } from './both.ts';
import { rq as python, VERSIONS } from './python.ts';

const FIELDS = [
  'origin',
  'func',
  'args',
  'kwargs',
  'timeout',
  'ttl',
  'result_ttl',
  'failure_ttl',
  'status',
  'meta',
];

describe.each(VERSIONS)('rq of Python RQ %s and ours', version => {
  const { redis, python: driver, worker, ids } = useBoth(version);
  const theirs = (...args: string[]): ReturnType<typeof python> => python(version, redis.port, args);
  const sorted = (text: string): string[] => text.split('\n').toSorted();

  it('show the same numbers of queues and workers', async () => {
    await writeJobs(redis.client, ['a', 'b', 'c']);
    await writeJobs(redis.client, ['d'], { queue: 'other', status: 'failed' });
    await writeJobs(redis.client, ['e'], { queue: 'other', status: 'finished' });
    await redis.client.set('rq:suspended', '1');
    worker({}, { name: 'w' }, 'other')
      .work()
      .catch(() => {});
    const state = (): Promise<string | null> => redis.client.hget('rq:worker:w', 'state');
    await expect.poll(state, { timeout: 15_000 }).toBe('suspended');
    for (const args of [
      ['--raw'],
      ['--raw', 'other'],
      ['-Q'],
      ['-W'],
      ['-Q', 'default'],
      ['-R', '-W', 'other'],
    ]) {
      const mine = await node(redis.url, 'info', ...args);
      expect([args, sorted(mine.out)]).toEqual([args, sorted((await theirs('info', ...args)).out)]);
    }
  });

  it('draw the same bars', async () => {
    for (const [queue, count] of [
      ['a', 1],
      ['b', 7],
      ['c', 30],
    ] as const)
      await writeJobs(
        redis.client,
        Array.from({ length: count }, (_, i) => `${queue}${i}`),
        { queue },
      );
    const mine = await node(redis.url, 'info', '-Q');
    expect(sorted(mine.out)).toEqual(sorted((await theirs('info', '-Q')).out));
  });

  it.each([
    [['tasks.add', ':1', ':2']],
    [['tasks.add', 'text', 'k=v', 'n:=[1,null]', 'http://x/?a=b', 'a:b=c', '=x']],
    [
      [
        '-q',
        'other',
        '--timeout',
        '30',
        '--ttl',
        '60',
        '--result-ttl',
        '90',
        '--failure-ttl',
        '120',
        'tasks.add',
      ],
    ],
    [['--timeout', '2m', 'tasks.add']],
    [['--schedule-in', '5m', 'tasks.add', 'x']],
  ])('enqueue the same job for %j', async args => {
    for (const [i, run] of [node.bind(undefined, redis.url), theirs].entries()) {
      const { code, out } = await run('enqueue', '-S', 'json', '--job-id', `job${i}`, ...args);
      expect([code, out]).toEqual([
        0,
        expect.stringMatching(/^Enqueued tasks\.add\(.*\) with job-id 'job\d'\.\n$/),
      ]);
    }
    const views = await Promise.all(
      [0, 1].map(i => driver.run<Record<string, unknown>>('out = view(job(id))', { id: `job${i}` })),
    );
    // where a caller is silent, the two leave the default to the worker, or write it
    const [mine, other] = views.map(view => Object.fromEntries(FIELDS.map(field => [field, view[field]])));
    expect(mine).toEqual({ ...other, failure_ttl: mine?.['failure_ttl'] });
  });

  it('requeue in the same words, with the same end', async () => {
    const ends: unknown[] = [];
    for (const run of [node.bind(undefined, redis.url), theirs]) {
      await redis.client.flushall();
      await writeJobs(redis.client, ['a', 'b', 'c'], { status: 'failed' });
      const some = await run('requeue', '--serializer', 'json', '--queue', 'default', 'a');
      const all = await run('requeue', '--serializer', 'json', '--queue', 'default', '-a');
      const none = await run('requeue', '--serializer', 'json', '--queue', 'default', '-a');
      const said = [some, all, none].map(({ code, out }) => [code, out.split('\n')[0]]);
      ends.push([said, (await ids('rq:queue:default')).toSorted(), await ids('rq:failed:default')]);
    }
    expect(ends[0]).toEqual(ends[1]);
  });

  it('empty, suspend and resume the same', async () => {
    for (const run of [node.bind(undefined, redis.url, 'empty', '--yes'), theirs.bind(undefined, 'empty')]) {
      await writeJobs(redis.client, ['a', 'b']);
      expect((await run('default')).out).toBe('2 jobs removed from default queue\n');
      expect(await redis.client.keys('rq:job:*')).toEqual([]);
    }
    await node(redis.url, 'suspend');
    expect(await driver.run('out = is_suspended(c)')).toBeTruthy();
    await theirs('resume');
    expect(await redis.client.exists('rq:suspended')).toBe(0);
  });
});
