import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../bin/rq/enqueue.ts';
import { useFolder } from '../support/folder.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { NASTY, STEERS, Terminal, complaint, rq, rqJson } from '../support/rq.ts';

const redis = useRedis();
const q = useQueue(redis);
const folder = useFolder();

describe('the arguments of rq enqueue', () => {
  it.each<[given: string, args: readonly unknown[], kwargs: object]>([
    ['text', ['text'], {}],
    ['', [''], {}],
    ['42', ['42'], {}],
    [':42', [42], {}],
    [':{"a":[1,null]}', [{ a: [1, null] }], {}],
    ['k=text', [], { k: 'text' }],
    ['k=', [], { k: '' }],
    ['k=a=b', [], { k: 'a=b' }],
    ['k:=42', [], { k: 42 }],
    ['k:="text"', [], { k: 'text' }],
    ['=text', ['=text'], {}],
    ['a:b=c', [], { 'a:b': 'c' }],
    ['a:b:=1', [], { 'a:b:': '1' }],
    ['http://x/?a=b', [], { 'http://x/?a': 'b' }],
  ])('%j', (given, args, kwargs) => {
    expect(parseArguments([given])).toEqual({ args, kwargs });
  });

  it('may name a keyword __proto__', () => {
    expect(Object.keys(parseArguments(['__proto__=x']).kwargs)).toEqual(['__proto__']);
  });

  it('are read from files', async () => {
    const text = await folder.write('text.txt', 'from a file\n');
    const json = await folder.write('data.json', '[1, 2]');
    const given = [`@${text}`, `:@${json}`, `k=@${text}`, `l:=@${json}`];
    expect(parseArguments(given)).toEqual({
      args: ['from a file\n', [1, 2]],
      kwargs: { k: 'from a file\n', l: [1, 2] },
    });
  });
});

describe('rq enqueue', () => {
  it('puts a call on the queue default, and says its id', async () => {
    const { code, out, err } = await rq(redis.url, 'enqueue', 'say', 'Hello', 'to=World', 'n:=3');
    const [, id = ''] = /^Enqueued say\("Hello", to="World", n=3\) with job-id '(.+)'\.\n$/.exec(out) ?? [];
    expect([code, err]).toEqual([0, '']);
    const job = await q.fetchJob(id);
    expect([job?.functionName, job?.args, job?.kwargs]).toEqual(['say', ['Hello'], { to: 'World', n: 3 }]);
    expect(await q.getJobIds()).toEqual([id]);
  });

  it('takes the options of RQ', async () => {
    await q.enqueue('first', [], { jobId: 'first' });
    const times = ['--timeout', '5m', '--result-ttl', '1h', '--ttl', '2h', '--failure-ttl', '1d'];
    const retries = ['--retry-max', '3', '--retry-interval', '1', '--retry-interval', '60'];
    const others = ['--description', 'a text', '--job-id', 'mine', '--at-front', '--depends-on', 'first'];
    const said = await rq(redis.url, 'enqueue', '-q', 'other', ...times, ...retries, ...others, 'say');
    expect(said).toEqual({ code: 0, out: "Enqueued say() with job-id 'mine'.\n", err: '' });
    expect(await redis.client.hgetall('rq:job:mine')).toMatchObject({
      status: 'deferred',
      origin: 'other',
      timeout: '300',
      result_ttl: '3600',
      ttl: '7200',
      failure_ttl: '86400',
      description: 'a text',
      retries_left: '3',
      dependency_ids: '["first"]',
      enqueue_at_front: '1',
    });
  });

  it('puts a job at the front', async () => {
    await q.enqueue('first');
    await rq(redis.url, 'enqueue', '--at-front', '--job-id', 'front', 'say');
    expect((await q.getJobIds())[0]).toBe('front');
  });

  it('schedules', async () => {
    const soon = Date.now() / 1000 + 300;
    await rq(redis.url, 'enqueue', '--schedule-in', '5m', '--job-id', 'in', 'say');
    await rq(redis.url, 'enqueue', '--schedule-at', '2100-01-31T12:00:00', '--job-id', 'at', 'say');
    expect(Number(await redis.client.zscore('rq:scheduled:default', 'in'))).toBeCloseTo(soon, -1.5);
    const at = new Date('2100-01-31T12:00:00').getTime() / 1000;
    expect(Number(await redis.client.zscore('rq:scheduled:default', 'at'))).toBe(at);
  });

  it('prints the job as JSON, or nothing', async () => {
    const job = await rqJson(redis.url, 'enqueue', 'say', '--job-id', 'mine');
    expect(job).toEqual({ id: 'mine', queue: 'default', status: 'queued' });
    expect(await rq(redis.url, 'enqueue', 'say', '--quiet')).toEqual({ code: 0, out: '', err: '' });
  });

  it.each<[what: string, args: readonly string[], said: RegExp]>([
    ['what is no JSON', ['say', ':{'], /":\{" is not JSON/],
    ['a keyword given twice', ['say', 'a=1', 'a:=2'], /"a" is given twice/],
    ['a file that is missing', ['say', '@/no/such/file'], /"@\/no\/such\/file" can't be read/],
    ['a Python literal', ['say', '%(1, 2)'], /Python literal.*JSON/],
    ['a keyword with a Python literal', ['say', 'k%=None'], /Python literal.*k:=/],
    ['two times', ['say', '--schedule-in', '1m', '--schedule-at', '2100-01-31T12:00:00'], /exclude/],
    ['a time that is none', ['say', '--schedule-at', 'tomorrow'], /2026-01-31T12:00:00.*"tomorrow"/],
    ['a day that is none', ['say', '--schedule-at', '2100-02-30T12:00:00'], /"2100-02-30T12:00:00"/],
    ['a duration that is none', ['say', '--timeout', 'soon'], /timeout.*"soon"/],
    ['a queue with a space', ['say', '-q', 'a b'], /queue name.*"a b"/],
    ['an id with a dot', ['say', '--job-id', 'a.b'], /job id.*"a\.b"/],
    ['retries that are no number', ['say', '--retry-max', 'x'], /retry-max.*'x'/],
  ])('ends with 2 and one line for %s, and enqueues nothing', async (_, args, said) => {
    expect(await rq(redis.url, 'enqueue', ...args)).toEqual(complaint(said, 2));
    expect(await redis.client.dbsize()).toBe(0);
  });

  it('ends with 1 where a job of this id has not ended', async () => {
    await q.enqueue('say', [], { jobId: 'mine' });
    expect(await rq(redis.url, 'enqueue', 'say', '--job-id', 'mine')).toEqual(complaint(/mine/, 1));
  });

  it('colours what it put on the queue on a terminal, and lets no text steer it', async () => {
    await using terminal = await Terminal.open(redis.url, ['enqueue', 'say', NASTY.replace('\n', '')]);
    expect(await terminal.end()).toBe(0);
    const [, shown = ''] = /Enqueued \x1b\[34m(.*)\x1b\[39m with/.exec(terminal.out) ?? [];
    expect(shown).toContain('\\u001b[31mred');
    expect(shown).not.toMatch(STEERS);
  });
});
