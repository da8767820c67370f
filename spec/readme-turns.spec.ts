/** The section "Whose turn it is" of README.md, pasted: its files are written to a folder, and its commands run there. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Queue } from '../lib/index.ts';
import { useFolder } from './support/folder.ts';
import { useRedis } from './support/in-process.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const SECTION = /^## Whose turn it is\n([\s\S]*?)^## /m.exec(README)?.[1] ?? '';
const blocks = [...SECTION.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, kind = '', text = '']) => ({
  kind,
  text,
}));

const redis = useRedis();
const folder = useFolder();
const started: ChildProcess[] = [];

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
});

/** Runs a command of a reader's shell; its output once it ended, or '' at once for one that ends with `&`. */
async function run(line: string): Promise<string> {
  const background = line.endsWith(' &');
  const child = spawn('sh', ['-c', `exec ${line.replace(/ &$/, '')}`], {
    cwd: folder.path,
    // a group of its own, so that what it starts can be ended with it
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, RQ_REDIS_URL: redis.url },
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

describe('README, Whose turn it is', () => {
  it('does what it says', async () => {
    // what `npm install rq-node` makes
    await mkdir(join(folder.path, 'node_modules', '.bin'), { recursive: true });
    await symlink(ROOT, join(folder.path, 'node_modules', 'rq-node'));
    const program = join(ROOT, 'dist', 'bin', 'rq-worker.js');
    const bin = join(folder.path, 'node_modules', '.bin', 'rq-worker');
    await writeFile(bin, `#!/bin/sh\nexec node '${program}' "$@"\n`, { mode: 0o755 });
    await writeFile(join(folder.path, 'package.json'), '{"type":"module"}');
    const files = blocks.filter(({ kind }) => kind === 'js');
    for (const { text } of files)
      await writeFile(join(folder.path, /^\/\/ (\S+)/.exec(text)?.[1] ?? ''), text);
    expect(files).toHaveLength(2);

    // the worker is not to wait at this queue when the jobs are put there and counted: it would have one in its hands
    await using mails = new Queue('mails', { connection: redis.url });
    await mails.pause();
    const session = blocks.find(({ kind }) => kind === '');
    const steps = (session?.text ?? '').split(/^\$ /m).slice(1);
    expect(steps).toHaveLength(2);
    for (const step of steps) {
      const end = step.indexOf('\n');
      expect(await run(step.slice(0, end))).toBe(step.slice(end + 1));
    }

    await expect.poll(() => mails.finishedRegistry.count()).toBe(3);
    await using slow = new Queue('slow', { connection: redis.url });
    const [id = ''] = await slow.finishedRegistry.getJobIds();
    expect(
      await redis.client.hmget(`rq:job:${id}`, 'timeout', 'result_ttl', 'retries_left', 'limit_key'),
    ).toEqual(['600', '86400', '3', 'reports']);
    expect(await redis.client.zcard('rq:starts:mails')).toBe(3);
    expect(await redis.client.keys('rq:slots:*')).toEqual([]);
  });
});
