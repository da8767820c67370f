import { afterEach, describe, expect, it } from 'vitest';
import { Keys, type QueueKeys } from '../lib/keys.ts';
import { advance } from '../lib/lua/advance.ts';
import { cancel } from '../lib/lua/cancel.ts';
import { deleteJob } from '../lib/lua/delete.ts';
import { empty } from '../lib/lua/empty.ts';
import { enqueue } from '../lib/lua/enqueue.ts';
import { fetch } from '../lib/lua/fetch.ts';
import { giveBack } from '../lib/lua/give-back.ts';
import { heartbeat } from '../lib/lua/heartbeat.ts';
import { listRegistry } from '../lib/lua/list-registry.ts';
import { readState } from '../lib/lua/read-state.ts';
import { releaseClaims } from '../lib/lua/release-claims.ts';
import { renew } from '../lib/lua/renew.ts';
import { requeue } from '../lib/lua/requeue.ts';
import { saveMeta } from '../lib/lua/save-meta.ts';
import { sweep } from '../lib/lua/sweep.ts';
import { unregister } from '../lib/lua/unregister.ts';
import { Script } from '../lib/script.ts';
import { useRedis } from './support/in-process.ts';

const keys = new Keys();

/** Two keys, three keys of each queue, two arguments: everything a script can name. */
const echo = new Script({
  name: 'echo',
  keys: ['first', 'second'],
  queueKeys: ['list', 'failed', 'claims'],
  args: ['x', 'y'],
  parts: ['local function twice(text) return text .. text end'],
  body: `
local seen = {}
for i = 1, queues do
  local q = queue(i)
  seen[i] = { q.list, q.failed, q.claims }
end
local more = {}
for i = rest, #ARGV do more[#more + 1] = ARGV[i] end
return { first, second, queues, seen, x, twice(y), more }`,
});

const unit = (name: string): QueueKeys & { readonly claims: string } => ({
  ...keys.queue(name),
  claims: keys.claims('w', name),
});

const server = useRedis();
afterEach(() => server.client.config('SET', 'maxmemory', '0'));

describe('Script, its source', () => {
  it('begins with its flags and its name', () => {
    const lines = (allowOom: boolean): string[] =>
      new Script({ name: 'verb', allowOom, body: 'return 1' }).source.split('\n').slice(0, 2);
    expect(lines(false)).toEqual(['#!lua', '-- verb']);
    expect(lines(true)).toEqual(['#!lua flags=allow-oom', '-- verb']);
  });

  it('is known to Redis by its sha', async () => {
    expect(await server.client.script('LOAD', echo.source)).toBe(echo.sha);
  });
});

describe('Script.run', () => {
  it('names keys, the keys of each queue and arguments, and hands the rest over', async () => {
    const reply = await echo.run(server.client, {
      keys: { second: 'key-2', first: 'key-1' },
      queues: [unit('a'), unit('b')],
      args: { y: 'why', x: 5 },
      rest: ['r1', 2, ''],
    });
    expect(reply).toEqual([
      'key-1',
      'key-2',
      2,
      [
        ['rq:queue:a', 'rq:failed:a', 'rq:worker:w:claims:a'],
        ['rq:queue:b', 'rq:failed:b', 'rq:worker:w:claims:b'],
      ],
      '5',
      'whywhy',
      ['r1', '2', ''],
    ]);
  });

  it('takes no queues and no rest', async () => {
    const call = { keys: { first: '1', second: '2' }, args: { x: 'x', y: 'y' } };
    expect(await echo.run(server.client, call)).toEqual(['1', '2', 0, [], 'x', 'yy', []]);
  });

  it('needs neither keys nor arguments', async () => {
    const bare = new Script({ name: 'bare', body: 'return { #KEYS, #ARGV, rest, ARGV[rest] }' });
    expect(await bare.run(server.client, { keys: {}, args: {}, rest: ['a'] })).toEqual([0, 1, 1, 'a']);
  });

  it('hands more arguments over than Lua unpacks', async () => {
    const count = new Script({ name: 'count', body: 'return #ARGV' });
    const rest = Array.from({ length: 50_000 }, (_, i) => i);
    expect(await count.run(server.client, { keys: {}, args: {}, rest })).toBe(50_000);
  });

  it('tells Redis each key: none is touched that it was not told of', async () => {
    const script = new Script({
      name: 'set',
      keys: ['key'],
      args: ['value'],
      body: "redis.call('SET', key, value)",
    });
    await script.run(server.client, { keys: { key: 'k' }, args: { value: 'v' } });
    const sent = ['2', 'key-1', 'key-2', 'x', 'y'];
    expect(await server.client.command('GETKEYS', 'EVALSHA', echo.sha, ...sent)).toEqual(['key-1', 'key-2']);
    expect(await server.client.get('k')).toBe('v');
  });

  it('runs again after Redis has forgotten it, and is remembered then', async () => {
    const script = new Script({ name: 'incr', keys: ['key'], body: "return redis.call('INCR', key)" });
    const call = { keys: { key: 'n' }, args: {} };
    expect(await script.run(server.client, call)).toBe(1);
    await server.client.script('FLUSH');
    expect(await server.client.script('EXISTS', script.sha)).toEqual([0]);
    expect(await script.run(server.client, call)).toBe(2);
    expect(await server.client.script('EXISTS', script.sha)).toEqual([1]);
    await server.client.script('FLUSH');
    expect(await script.runRaw(server.client, call)).toBe(3);
  });

  it('runs once where it raises an error', async () => {
    const script = new Script({
      name: 'raise',
      keys: ['key'],
      body: "redis.call('INCR', key)\nreturn redis.error_reply('SPEC no')",
    });
    const call = { keys: { key: 'n' }, args: {} };
    await expect(script.run(server.client, call)).rejects.toThrow('SPEC no');
    expect(await server.client.get('n')).toBe('1');
    await expect(script.runRaw(server.client, call)).rejects.toThrow('SPEC no');
    expect(await server.client.get('n')).toBe('2');
  });
});

describe('Script.runRaw', () => {
  it('gives bytes as they are', async () => {
    const script = new Script({
      name: 'same',
      args: ['value'],
      body: 'return { value, ARGV[rest], #value }',
    });
    const bytes = Buffer.from([0, 0x78, 0x9c, 0xff, 0xfe, 0x0a]);
    const reply = await script.runRaw(server.client, { keys: {}, args: { value: bytes }, rest: [bytes] });
    expect(reply).toEqual([bytes, bytes, 6]);
  });
});

describe('Script, when Redis is out of memory', () => {
  const call = { keys: { key: 'k' }, args: {} };
  const body = "return redis.call('SET', key, 'v')";

  it('is refused, and has done nothing', async () => {
    const script = new Script({ name: 'set', keys: ['key'], body });
    await server.client.config('SET', 'maxmemory', '1');
    await expect(script.run(server.client, call)).rejects.toThrow(/^OOM/);
    expect(await server.client.exists('k')).toBe(0);
  });

  it('runs where it is allowed to', async () => {
    const script = new Script({ name: 'set', keys: ['key'], allowOom: true, body });
    await server.client.config('SET', 'maxmemory', '1');
    await script.run(server.client, call);
    expect(await server.client.get('k')).toBe('v');
  });

  it.each([advance, giveBack, releaseClaims, renew, sweep, heartbeat, unregister, cancel, deleteJob, empty])(
    'runs $name, which claims, ends or releases jobs',
    script => {
      expect(script.source.split('\n')[0]).toBe('#!lua flags=allow-oom');
    },
  );

  it('refuses enqueue', () => {
    expect(enqueue.source.split('\n')[0]).toBe('#!lua');
  });
});

describe('every script of ours', () => {
  const all = [
    advance,
    cancel,
    deleteJob,
    empty,
    enqueue,
    fetch,
    giveBack,
    heartbeat,
    listRegistry,
    readState,
    releaseClaims,
    renew,
    requeue,
    saveMeta,
    sweep,
    unregister,
  ];

  it.each(all)('$name is Lua that Redis takes', async script => {
    expect(await server.client.script('LOAD', script.source)).toBe(script.sha);
  });

  it('has a name of its own', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });
});
