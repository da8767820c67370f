/** `rq failed` and `rq job`: what went wrong. */
import { describe, expect, it } from 'vitest';
import { useQueue, useRedis, workOff } from '../support/in-process.ts';
import { ids, writeJobs } from '../support/jobs.ts';
import { NASTY, STEERS, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);

const failure = (text: string, fn = 'f') => ({ exc_info: `${text}\n    at f`, data: `["${fn}",null,[],{}]` });

describe('rq failed', () => {
  it('groups failures of one kind, though ids and numbers in them differ, the most frequent first', async () => {
    await writeJobs(redis.client, ['a'], { status: 'failed', fields: failure('RangeError: too far') });
    for (const id of ids('b', 3))
      await writeJobs(redis.client, [id], {
        status: 'failed',
        fields: failure(`Error: no user ${id.length * 999}`),
      });
    const { code, out } = await rq(redis.url, 'failed');
    expect(out.split('\n')).toEqual([
      '     3  default: f  Error: no user 2997',
      expect.stringMatching(/^ {8}last \d+s ago, b-\d$/),
      '     1  default: f  RangeError: too far',
      expect.stringMatching(/^ {8}last \d+s ago, a$/),
      '4 failed jobs, 2 kinds',
      '',
    ]);
    expect(code).toBe(0);
  });

  it('shows those of a queue, of a function, or of late', async () => {
    await writeJobs(redis.client, ['a'], { status: 'failed', fields: failure('Error: a', 'one') });
    await writeJobs(redis.client, ['b'], {
      status: 'failed',
      queue: 'other',
      fields: failure('Error: b', 'two'),
    });
    await writeJobs(redis.client, ['c'], { status: 'failed', age: 7200, fields: failure('Error: c', 'two') });
    const messages = async (...args: string[]): Promise<string[]> =>
      (await rqJson<{ message: string }[]>(redis.url, 'failed', ...args)).map(({ message }) => message);
    expect((await messages()).toSorted()).toEqual(['a', 'b', 'c']);
    expect(await messages('--queue', 'other')).toEqual(['b']);
    expect((await messages('--function', 'two')).toSorted()).toEqual(['b', 'c']);
    expect((await messages('--since', '1h')).toSorted()).toEqual(['a', 'b']);
  });

  it('counts stopped jobs, and jobs that can’t be read', async () => {
    await writeJobs(redis.client, ['a'], { status: 'stopped' });
    await writeJobs(redis.client, ['b'], { status: 'failed', fields: { data: 'garbage', exc_info: '' } });
    const groups = await rqJson<object[]>(redis.url, 'failed');
    expect(groups).toHaveLength(2);
    expect(groups).toContainEqual(
      expect.objectContaining({ function: '(unreadable)', count: 1, jobId: 'b' }),
    );
  });

  it('ends with one line for an unknown queue, and a time that is none', async () => {
    expect(await rq(redis.url, 'failed', '--queue', 'nope')).toEqual(complaint(/no queue "nope"/, 1));
    expect(await rq(redis.url, 'failed', '--since', 'soon')).toEqual(complaint(/--since.*"soon"/, 2));
  });

  it('lets no error and no name steer a terminal', async () => {
    const data = JSON.stringify([NASTY, null, [], {}]);
    await writeJobs(redis.client, ['a'], { status: 'failed', fields: { exc_info: `Error: ${NASTY}`, data } });
    await using terminal = await Terminal.open(redis.url, ['failed']);
    expect(await terminal.end()).toBe(0);
    const text = terminal.out.replaceAll(/\x1b\[\d+m/g, '').replaceAll('\r\n', '\n');
    expect(text).toContain('a\\x1b[31mred');
    expect(text).not.toMatch(STEERS);
  });
});

describe('rq job', () => {
  it('tells all about a job that failed: its runs, and the error with its stack', async () => {
    const meta = { a: 1 };
    await q.enqueue('fail', ['the first'], { jobId: 'a', retry: { max: 1 }, timeout: '1m', meta });
    await workOff(redis);
    const { code, out } = await rq(redis.url, 'job', 'a');
    for (const line of [
      /^id +a$/m,
      /^status +failed$/m,
      /^queue +default$/m,
      /^function +fail$/m,
      /^args +\["the first"\]$/m,
      /^timeout +60$/m,
      /^meta +\{"a":1\}$/m,
      /^endedAt +\d{4}-.*Z \(\d+s ago\)$/m,
      /^retriesLeft +0$/m,
    ])
      expect(out).toMatch(line);
    expect(out.match(/^failed \d{4}-.* on \S+ n\S+$/gm)).toHaveLength(2);
    expect(out).toMatch(/^ {2}\w*Error: the first\n {2} {4}at /m);
    expect(code).toBe(0);
  });

  it('tells as JSON what a job gave, and who waits for it', async () => {
    const first = await q.enqueue('nothing', [], { jobId: 'first' });
    await q.enqueue('nothing', [], { jobId: 'last', dependsOn: first });
    expect(await rqJson(redis.url, 'job', 'last')).toMatchObject({
      status: 'deferred',
      waitsFor: [{ id: 'first', status: 'queued' }],
      runs: [],
    });
    expect(await rqJson(redis.url, 'job', 'first')).toMatchObject({ status: 'queued', dependents: ['last'] });
    await workOff(redis);
    const done = await rqJson<{ runs: object[] }>(redis.url, 'job', 'first');
    expect(done).toMatchObject({ status: 'finished', runs: [{ type: 'successful', returnValue: null }] });
  });

  it('says what keeps a job from running', async () => {
    const first = await q.enqueue('fail', ['no'], { jobId: 'first' });
    await q.enqueue('nothing', [], { jobId: 'last', dependsOn: first });
    await workOff(redis);
    expect((await rq(redis.url, 'job', 'last')).out).toMatch(/^blockedBy +.*first.*failed/m);
  });

  it('says when a scheduled job is due', async () => {
    await q.enqueueAt(new Date('2100-01-31T12:00:00Z'), 'nothing', [], { jobId: 'later' });
    const { out } = await rq(redis.url, 'job', 'later');
    expect(out).toMatch(/^scheduledFor 2100-01-31T12:00:00\.000Z \(in \d+d\)$/m);
  });

  it('shows what can be read of a job that can’t be run', async () => {
    await writeJobs(redis.client, ['a'], { fields: { data: 'garbage', timeout: 'long', meta: '[' } });
    const { code, out } = await rq(redis.url, 'job', 'a');
    expect(out).toMatch(/^function +\(unreadable: .*not JSON/m);
    expect(out).toMatch(/^timeout +\(unreadable: .*"long"/m);
    expect(code).toBe(0);
  });

  it('ends with one line for a job that is gone, and for what is no job', async () => {
    expect(await rq(redis.url, 'job', 'gone')).toEqual(complaint(/no job gone: it expired, was deleted/, 1));
    expect(await rq(redis.url, 'job', '\x1b[2J')).toEqual(complaint(/job id.*"\\u001b\[2J"/, 2));
    await redis.client.set('rq:job:text', 'x');
    expect(await rq(redis.url, 'job', 'text')).toEqual(complaint(/Job text is not valid/, 1));
  });

  it('lets nothing of a job steer a terminal', async () => {
    const meta = JSON.stringify({ [NASTY]: NASTY });
    const data = JSON.stringify([NASTY, null, [NASTY], { [NASTY]: NASTY }]);
    const fields = {
      data,
      meta,
      description: NASTY,
      exc_info: `${NASTY}: ${NASTY}\n    at ${NASTY}`,
      worker_name: NASTY,
    };
    await writeJobs(redis.client, ['a'], { status: 'failed', fields });
    for (const args of [
      ['job', 'a'],
      ['job', 'a', '--json'],
    ]) {
      await using terminal = await Terminal.open(redis.url, args);
      expect(await terminal.end()).toBe(0);
      const text = terminal.out.replaceAll(/\x1b\[\d+m/g, '').replaceAll('\r\n', '\n');
      expect(text).toContain('red');
      expect(text).not.toMatch(STEERS);
    }
  });
});
