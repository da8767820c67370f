/** The section "With Python RQ" of README.md, pasted: its files are written to a folder, and its commands run there. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { missing, VERSIONS } from './python.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const SECTION = /^## With Python RQ\n([\s\S]*?)^## /m.exec(README)?.[1] ?? '';

interface Block {
  readonly kind: string;
  readonly text: string;
}

const blocks: readonly Block[] = [...SECTION.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(
  ([, kind = '', text = '']) => ({ kind, text }),
);

/** Files by the name that their first line says, such as `// tasks.js`. */
const files: ReadonlyMap<string, string> = new Map(
  blocks
    .filter(({ kind }) => kind !== '')
    .map(({ text }) => [/^(?:\/\/|#) (\S+)$/m.exec(text.slice(0, text.indexOf('\n')))?.[1] ?? '', text]),
);

/** The commands of each session, with what each one is to print. */
const sessions: readonly (readonly { readonly command: string; readonly output: string }[])[] = blocks
  .filter(({ kind }) => kind === '')
  .map(({ text }) =>
    text
      .split(/^\$ /m)
      .slice(1)
      .map(step => {
        const end = step.indexOf('\n');
        return { command: step.slice(0, end), output: step.slice(end + 1) };
      }),
  );

describe('README, With Python RQ', () => {
  it('names each file once', () => {
    expect([...files.keys()].toSorted()).toEqual(['ask-python.js', 'ask_node.py', 'tasks.js', 'tasks.py']);
    expect(sessions).toHaveLength(2);
  });

  it('links to the wire format', () => {
    const [, path = ''] = /\]\((docs\/[^)]+)\)/.exec(SECTION) ?? [];
    expect(existsSync(join(ROOT, path))).toBe(true);
    expect(path).toBe('docs/wire-format.md');
  });
});

describe.each(VERSIONS)('README, With Python RQ %s', version => {
  const why = missing(version);
  const started: ChildProcess[] = [];
  let redis: RedisServer;
  let folder: string;

  /** Runs a command of a reader's shell; its output once it ended, or '' at once for one that ends with `&`. */
  async function run(line: string): Promise<string> {
    const background = line.endsWith(' &');
    const child = spawn('sh', ['-c', `exec ${line.replace(/ &$/, '')}`], {
      cwd: folder,
      // a group of its own, so that what it starts can be ended with it
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        PATH: `${ROOT}.venv/rq-${version}/bin:${process.env['PATH'] ?? ''}`,
        RQ_REDIS_URL: redis.url,
        PYTHONDONTWRITEBYTECODE: '1',
      },
    });
    started.push(child);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    if (background) return '';
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${line} ended with ${String(code)}:\n${out}${err}`);
    return out;
  }

  beforeAll(async () => {
    if (why !== undefined) return;
    redis = await startRedis();
    folder = await mkdtemp(join(tmpdir(), 'rq-node-readme-'));
    // what `npm install rq-node` makes
    await mkdir(join(folder, 'node_modules', '.bin'), { recursive: true });
    await symlink(ROOT, join(folder, 'node_modules', 'rq-node'));
    const program = join(ROOT, 'dist', 'bin', 'rq-worker.js');
    const bin = join(folder, 'node_modules', '.bin', 'rq-worker');
    await writeFile(bin, `#!/bin/sh\nexec node '${program}' "$@"\n`, { mode: 0o755 });
    for (const [name, text] of files) {
      // the one thing that is not as it stands there: a reader's Redis is on the default port
      const own = text.replaceAll('Redis()', `Redis(port=${redis.port})`);
      await writeFile(join(folder, name), own);
    }
  });
  afterAll(async () => {
    for (const child of started) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      process.kill(-child.pid, 'SIGKILL');
      await ended;
    }
    await redis?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it('a Node worker runs what a Python producer asks', async context => {
    if (why !== undefined) return context.skip(why);
    for (const { command, output } of sessions[0] ?? []) expect(await run(command)).toBe(output);
  });

  it('a Python worker runs what a Node producer asks', async context => {
    if (why !== undefined) return context.skip(why);
    for (const { command, output } of sessions[1] ?? []) expect(await run(command)).toBe(output);
  });
});
