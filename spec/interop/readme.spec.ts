/** The section "With Python RQ" of README.md, pasted and run. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Reader, ROOT, section } from '../support/readme.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { missing, VERSIONS } from './python.ts';

const { text, files, sessions } = section('With Python RQ');

describe('README, With Python RQ', () => {
  it('names each file once', () => {
    expect([...files.keys()].toSorted()).toEqual(['ask-python.js', 'ask_node.py', 'tasks.js', 'tasks.py']);
    expect(sessions).toHaveLength(2);
  });

  it('links to the wire format', () => {
    const [, path = ''] = /\]\((docs\/[^)]+)\)/.exec(text) ?? [];
    expect(existsSync(join(ROOT, path))).toBe(true);
    expect(path).toBe('docs/wire-format.md');
  });
});

describe.each(VERSIONS)('README, With Python RQ %s', version => {
  const why = missing(version);
  let redis: RedisServer;
  let reader: Reader;

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    reader = await Reader.start(redis.url, `${ROOT}.venv/rq-${version}/bin`);
    // the one thing that is not as it stands there: a reader's Redis is on the default port
    const own = [...files].map(
      ([name, body]) => [name, body.replaceAll('Redis()', `Redis(port=${redis.port})`)] as const,
    );
    await reader.write(own);
  });
  afterAll(async () => {
    await reader?.end();
    await redis?.stop();
  });

  it('a Node worker runs what a Python producer asks', async context => {
    if (why !== undefined) return context.skip(why);
    for (const { command, output } of sessions[0] ?? []) expect(await reader.run(command)).toBe(output);
  });

  it('a Python worker runs what a Node producer asks', async context => {
    if (why !== undefined) return context.skip(why);
    for (const { command, output } of sessions[1] ?? []) expect(await reader.run(command)).toBe(output);
  });
});
