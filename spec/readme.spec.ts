/** README.md held to the code: its examples run and print what it says, its tables name what there is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENQUEUE_OPTIONS } from '../lib/enqueue-options.ts';
import * as library from '../lib/index.ts';
import { README, Reader, expectedOutput, section, type Section } from './support/readme.ts';
import { startRedis, type RedisServer } from './support/redis.ts';

/** Names in backticks, without what is in brackets: `wait({ timeout })` is `wait`. */
function named(text: string): string[] {
  const code = [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`]+)`/g)].map(
    ([, name = '']) => name,
  );
  return code.flatMap(name => name.replace(/\([^)]*\)/g, '').match(/\w+/g) ?? []);
}

/** The public methods and getters of a class, but for what makes it an argument. */
function membersOf(kind: { readonly prototype: object }): string[] {
  return Object.getOwnPropertyNames(kind.prototype).filter(
    name => !['constructor', 'standsFor'].includes(name),
  );
}

describe('README', () => {
  it('has a row for each option of enqueue', () => {
    const [, table = ''] = /^\| option of `enqueue`.*\n((?:\|.*\n)+)/m.exec(README) ?? [];
    const rows = [...table.matchAll(/^\| (`[^|]+)\|/gm)].flatMap(([, cell = '']) => named(cell));
    expect(ENQUEUE_OPTIONS.filter(name => !rows.includes(name))).toEqual([]);
    expect(rows.filter(name => !ENQUEUE_OPTIONS.includes(name))).toEqual([]);
  });

  it.each([
    ['Queue', library.Queue],
    ['Job', library.Job],
    ['Group', library.Group],
    ['ScheduledRegistry', library.ScheduledRegistry],
    ['Rq', library.Rq],
  ] as const)('names each method and field of %s', (_, kind) => {
    const known = new Set(named(README));
    expect(membersOf(kind).filter(name => !known.has(name))).toEqual([]);
  });

  it('has a row for each error', () => {
    const { text } = section('A job');
    const errors = Object.entries(library).filter(
      ([, kind]) => typeof kind === 'function' && kind.prototype instanceof library.RqError,
    );
    // a base class, and what functions throw to say what follows
    const others = new Set(['JobError', 'NonRetryableError', 'Retry']);
    const names = errors.map(([name]) => name).filter(name => !others.has(name));
    const rows = [...text.matchAll(/^\| (`\w+Error`[^|]*)\|/gm)].flatMap(([, cell = '']) => named(cell));
    expect(rows.toSorted()).toEqual(names.toSorted());
  });
});

/** The lines that all scripts of a section begin with: its first one's imports and its queue. */
function beginningOf({ files }: Section): string {
  return /^[\s\S]*?new Queue\(\);\n/.exec(files.get('script.js') ?? '')?.[0] ?? '';
}

describe('README, in a terminal', () => {
  let redis: RedisServer;
  const readers: Reader[] = [];

  async function read(heading: string): Promise<{ readonly reader: Reader; readonly its: Section }> {
    const its = section(heading);
    const reader = await Reader.start(redis.url);
    readers.push(reader);
    await reader.write([['package.json', '{ "type": "module" }'], ...its.files]);
    return { reader, its };
  }

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => {
    for (const reader of readers) await reader.end();
    await redis?.stop();
  });

  it('Quick start', async () => {
    const { reader, its } = await read('Quick start');
    const steps = its.sessions.flat();
    expect(steps.map(({ command }) => command)).toEqual([
      'npx rq-worker --functions ./tasks.js &',
      'node script.js',
    ]);
    for (const { command, output } of steps) expect(await reader.run(command)).toBe(output);
    expect(expectedOutput(its.files.get('script.js') ?? '')).toBe('85\n');
    await reader.end();
  });

  it('The rq command', async () => {
    await redis.client.flushall();
    const { reader, its } = await read('The rq command');
    const steps = its.sessions.flat();
    expect(steps).toHaveLength(11);
    for (const { command, output } of steps) {
      // … stands for what differs each time
      const parts = output.split('…').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      expect(`${command}\n${await reader.run(command)}`).toMatch(new RegExp(`^.*\n${parts.join('[^]+')}$`));
    }
    const script = its.pieces.join('\n').replace(/redis:\/\/127.0.0.1:6379/, redis.url);
    await reader.write([['script.js', script]]);
    expect(await reader.run('node script.js')).toMatch(/^ok version Redis \d/);
    await reader.end();
    // a rate would hold up what follows
    await redis.client.flushall();
  });

  it('Work that follows other work, and Later, and again', async () => {
    const { reader, its: follow } = await read('Work that follows other work');
    const again = section('Later, and again');
    expect([...follow.files.keys()]).toEqual(['tasks.js', 'script.js']);
    for (const { command } of follow.sessions.flat()) await reader.run(command);

    const beginning = beginningOf(follow);
    const scripts = [
      follow.files.get('script.js') ?? '',
      ...[...follow.pieces, ...again.pieces].map(piece => `${beginning}\n${piece}`),
    ];
    expect(scripts).toHaveLength(8);
    for (const [i, script] of scripts.entries()) {
      await reader.write([[`script-${i}.js`, script]]);
      const output = expectedOutput(script);
      expect(output).not.toBe('');
      expect({ script, output: await reader.run(`node script-${i}.js`) }).toEqual({ script, output });
    }
  });
});
