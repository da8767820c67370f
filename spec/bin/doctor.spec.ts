import { describe, expect, it } from 'vitest';
import { LACKS, clockAt } from '../support/faketime.ts';
import { useRedis } from '../support/in-process.ts';
import { Proxy } from '../support/proxy.ts';
import { RqProcess, Terminal, complaint, rq } from '../support/rq.ts';

const redis = useRedis();
/** 1 where it warns that round trips take long, which says how busy this machine is; else 0. */
const slow = (out: string): number => (/^warning +latency/m.test(out) ? 1 : 0);

describe('rq doctor', () => {
  it('ends with 0 where nothing is wrong', async () => {
    const { code, out, err } = await rq(redis.url, 'doctor', '--promise', 'none');
    expect({ code, err }).toEqual({ code: slow(out), err: '' });
    const lines = out.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.filter(line => !/^ok |^warning +latency/.test(line))).toEqual([]);
    expect(out).toContain('ok       memory: noeviction');
  });

  it('ends with 1 where something may go wrong, and says what to do', async () => {
    const { code, out } = await rq(redis.url, 'doctor');
    expect(code).toBe(1);
    expect(out).toMatch(/^warning {2}persistence: .* → appendonly yes/m);
  });

  it('ends with 2 where something is wrong', async () => {
    await redis.client.set('rq:queue:default', 'text');
    const { code, out } = await rq(redis.url, 'doctor', '--promise', 'none');
    expect(code).toBe(2);
    expect(out).toMatch(/^error {4}keys: 1 key of a wrong type: "rq:queue:default" is a string, .* → /m);
  });

  it('takes the URL as an argument, and prints JSON', async () => {
    const { code, out } = await rq('redis://127.0.0.1:1', 'doctor', redis.url, '--promise', 'none', '--json');
    const findings = JSON.parse(out) as { severity: string; about: string; what: string; fix: string }[];
    const late = findings.some(({ severity, about }) => severity === 'warning' && about === 'latency');
    expect(code).toBe(late ? 1 : 0);
    expect(findings[0]).toMatchObject({ severity: 'ok', about: 'version', fix: '' });
    expect(findings.every(({ what }) => what !== '')).toBe(true);
  });

  it('names what a user may not do', async () => {
    await redis.client.call(
      'ACL',
      'SETUSER',
      'poor',
      'on',
      '>secret',
      '~rq:*',
      '&rq:*',
      '+info',
      '+eval',
      '+evalsha',
    );
    const url = redis.url.replace('//', '//poor:secret@');
    const { code, out } = await rq(url, 'doctor', '--promise', 'none', '--role', 'producer');
    expect(code).toBe(2);
    expect(out).toMatch(/^error {4}rights: .*\bhset\b/m);
    expect(out).not.toContain('secret');
  });

  it.for([
    ['-10s', 1, /^warning {2}clock: Redis' clock is (9|10)\.\d s ahead of this machine's → .*NTP/m],
    ['+60s', 2, /^error {4}clock: Redis' clock is (59|60|61)\.\d s behind this machine's → .*NTP/m],
  ] as const)('sees that its clock is %s beside that of Redis', async ([time, code, said], context) => {
    if (LACKS !== undefined) context.skip(LACKS);
    const ended = await new RqProcess(redis.url, ['doctor', '--promise', 'none'], clockAt(time)).end();
    expect(ended.out).toMatch(said);
    expect(ended.code).toBe(code);
  });

  it('warns of a Redis that is far away', async () => {
    const proxy = await Proxy.to(redis.port);
    try {
      proxy.delay = 30;
      const { code, out } = await rq(proxy.url, 'doctor', '--promise', 'none');
      expect(out).toMatch(/^warning {2}latency: a round trip takes \d+\.\d ms → .*nearer/m);
      expect(code).toBe(1);
    } finally {
      await proxy.close();
    }
  });

  it('ends soon at Ctrl-C, and says how far it came', async () => {
    for (let at = 0; at < 200_000; at += 20_000)
      await redis.client.mset(
        Array.from({ length: 40_000 }, (_, i) => (i % 2 ? 'x' : `rq:unique:${at + i}`)),
      );
    // through this process, which so is never far behind
    await using proxy = await Proxy.to(redis.port, 5);
    const url = proxy.url;
    await using terminal = await Terminal.open(url, ['doctor', '--promise', 'none', '--max-keys', '1000000']);
    await terminal.said(/Looked at \d+/);
    terminal.type('\x03');
    expect(await terminal.end()).toBe(1);
    expect(terminal.out).toMatch(/keys: the first \S+ keys looked at/);
  });

  it('ends with 2 where Redis does not let anybody in', async () => {
    const url = redis.url.replace('//', '//nobody:word@');
    expect(await rq(url, 'doctor')).toEqual(complaint(/WRONGPASS/, 2));
  });

  it('is refused where there is no Redis, and for a promise that is none', async () => {
    expect(await rq('redis://127.0.0.1:1', 'doctor')).toEqual(complaint(/No connection to Redis/, 2));
    expect(await rq(redis.url, 'doctor', '--promise', 'sometimes')).toEqual(complaint(/--promise/, 2));
  });
});
