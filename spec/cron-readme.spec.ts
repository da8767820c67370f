/** The section "Cron" of README.md, pasted: its files are written to a folder, and its commands run there. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CRON_PATIENCE, TIMEZONE } from '../lib/defaults.ts';
import { Queue } from '../lib/index.ts';
import { README } from './support/acl.ts';
import { redisSeconds } from './support/crons.ts';
import { useFolder } from './support/folder.ts';
import { useRedis } from './support/in-process.ts';
import { PROGRAM } from './support/worker-process.ts';

const SECTION = /^## Cron\n([\s\S]*?)^## /m.exec(README)?.[1] ?? '';
const files = [...SECTION.matchAll(/^```js\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)];
const commands = [...SECTION.matchAll(/^```\n\$ (.*)\n([\s\S]*?)^```$/gm)];
const ROOT = fileURLToPath(new URL('../', import.meta.url));

const redis = useRedis();
const folder = useFolder();
const started: ChildProcess[] = [];

beforeAll(async () => {
  await mkdir(folder.of('node_modules', '.bin'), { recursive: true });
  await symlink(ROOT, folder.of('node_modules', 'rq-node'));
  const program = await folder.write('rq-worker', `#!/bin/sh\nexec node '${PROGRAM}' "$@"\n`);
  await symlink(program, folder.of('node_modules', '.bin', 'rq-worker'));
  await folder.write('package.json', '{ "type": "module" }');
  await folder.write(
    'tasks.js',
    "export const cleanUp = () => 'clean';\nexport const report = day => day;\n",
  );
  for (const [, name = '', text = ''] of files) await folder.write(name, text);
});
afterAll(async () => {
  for (const child of started) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
});

function run(line: string): ChildProcess {
  const child = spawn('sh', ['-c', `exec ${line.replace('npx rq-worker', 'sh ./rq-worker')}`], {
    cwd: folder.path,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, RQ_REDIS_URL: redis.url },
  });
  started.push(child);
  return child;
}

async function outputOf(child: ChildProcess): Promise<string> {
  let out = '';
  for await (const chunk of child.stdout ?? []) out += String(chunk);
  return out;
}

describe('README, Cron', () => {
  it('names two files and two commands', () => {
    expect(files.map(([, name]) => name)).toEqual(['schedule.js', 'cron.js']);
    expect(commands).toHaveLength(2);
  });

  it('sets and lists a cron', async () => {
    const [, command = '', output] = commands[0] ?? [];
    expect(await outputOf(run(command))).toBe(output);
    expect(await redis.client.hkeys('rq:crons:default')).toEqual(['report']);
  });

  it('has a worker set those of a list, and run them', async () => {
    const [, command = ''] = commands[1] ?? [];
    run(command);
    await using q = new Queue('default', { connection: redis.url });
    await using slow = new Queue('slow', { connection: redis.url });
    const names = async (): Promise<unknown> => [
      (await q.crons()).map(({ name, timezone }) => [name, timezone]),
      (await slow.crons()).map(({ name, timezone }) => [name, timezone]),
    ];
    await expect
      .poll(names, { timeout: 10_000 })
      .toEqual([[['cleanUp', 'UTC']], [['report', 'Europe/Berlin']]]);
    // as if it were nine o'clock
    await redis.client.zadd('rq:cron-ticks:slow', await redisSeconds(redis.client), 'report');
    const lastJob = async (): Promise<unknown> => {
      const [cron] = await slow.crons();
      return cron?.lastJobId === undefined ? undefined : (await slow.fetchJob(cron.lastJobId))?.result;
    };
    await expect.poll(lastJob, { timeout: 10_000 }).toBe('weekday');
  });

  it('says the defaults that the code has', () => {
    expect(SECTION).toContain(`| \`${TIMEZONE}\``);
    expect(CRON_PATIENCE).toBe(60);
    expect(SECTION).toContain('for more than a minute');
  });
});
