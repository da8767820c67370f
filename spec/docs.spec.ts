/** docs/wire-format.md held to the code: it names what is written, its links lead somewhere, its example runs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DUE_MS,
  DUE_PATIENCE,
  ERRORS_KEPT,
  ERROR_BYTES,
  FAILURE_TTL,
  INFLATE_LIMIT,
  LEASE,
  LEASE_MARGIN,
  MAX_RECOVERIES,
  PUBLISH_LIMIT,
  RELEASE_BATCH,
  RESULT_TTL,
  SHUTDOWN_TIMEOUT,
  SWEEP_BATCH,
  SWEEP_MS,
  WORKER_TTL_MARGIN,
} from '../lib/defaults.ts';
import { Queue, Worker } from '../lib/index.ts';
import { Keys } from '../lib/keys.ts';
import { STATUSES } from '../lib/record.ts';
import { startRedis, type RedisServer } from './support/redis.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PATH = process.env['PATH'] ?? '';
const DOCUMENT = readFileSync(join(ROOT, 'docs', 'wire-format.md'), 'utf8');

/** The text under a heading, up to the next one of its level or above. */
function section(heading: string): string {
  const found = new RegExp(`^(#+) ${heading}\\n([\\s\\S]*)`, 'm').exec(DOCUMENT);
  if (found === null) throw new Error(`docs/wire-format.md has no section ${heading}`);
  const [, level = '', rest = ''] = found;
  return rest.split(new RegExp(`^#{1,${level.length}} `, 'm'))[0] ?? '';
}

/** What stands in backticks in the first column of a section's table. */
function firstColumn(heading: string): string[] {
  return [...section(heading).matchAll(/^\| (`[^|]*)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
}

describe('docs/wire-format.md', () => {
  it('has a version', () => {
    expect(DOCUMENT).toMatch(/^# The wire format\n\nVersion \d+\.\d+\.\n/);
  });

  it('names every key that lib/keys.ts builds', () => {
    const keys = new Keys();
    const { name: _, ...queueKeys } = keys.queue('<queue>');
    const built: Record<string, string> = {
      job: keys.job('<id>'),
      dependents: keys.dependents('<id>'),
      dependencies: keys.dependencies('<id>'),
      results: keys.results('<id>'),
      worker: keys.worker('<worker>'),
      claims: keys.claims('<worker>', '<queue>'),
      unique: keys.unique('<queue>', '<call>'),
    };
    const channels: Record<string, string> = {
      statusChannel: keys.statusChannel('<queue>', '<id>'),
      commandChannel: keys.commandChannel('<worker>'),
    };
    const methods = Object.getOwnPropertyNames(Keys.prototype);
    const parts = ['constructor', 'queue', 'claimsSuffix'];
    expect(methods.toSorted()).toEqual(
      [...parts, ...Object.keys(built), ...Object.keys(channels)].toSorted(),
    );

    // a prefix stands for the key that is made with it
    const single = Object.entries(keys).filter(([name]) => !/prefix$/i.test(name));
    const all = [
      ...single.map(([, key]) => String(key)),
      ...Object.values(queueKeys),
      ...Object.values(built),
    ];
    const prefixed = [`${keys.groupPrefix}<name>`, `${keys.slotsPrefix}<key>`, `${keys.parkedPrefix}<key>`];
    expect(firstColumn('Keys')).toEqual(expect.arrayContaining([...all, ...prefixed]));
    for (const channel of Object.values(channels)) expect(section('Channels')).toContain(`\`${channel}\``);
  });

  it('names every status', () => {
    const row = section('The job hash')
      .split('\n')
      .find(line => line.startsWith('| `status`'));
    for (const status of STATUSES) expect(row).toContain(`\`${status}\``);
  });

  it('says the numbers that the code has', () => {
    const text = DOCUMENT.replace(/\s+/g, ' ');
    const words = ['none', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
    for (const said of [
      `A lease is ${LEASE} s, and renewed every ${LEASE / 3} s`,
      `the end of its lease plus ${LEASE_MARGIN} s`,
      `480 s (RQ) or ${LEASE + WORKER_TTL_MARGIN} s (we) after its last heartbeat`,
      `Ours comes every ${LEASE / 3} s and at each change of state, and the hash lives ${LEASE + WORKER_TTL_MARGIN} s past it`,
      `tries every ${SWEEP_MS / 1000} s, for each of its queues, \`SET rq:janitor:<queue> <worker> NX PX ${SWEEP_MS * 0.9}\``,
      `workers looks every ${DUE_MS / 1000} s`,
      `up to ${MAX_RECOVERIES} (or what the janitor was told)`,
      `The last ${words[ERRORS_KEPT] ?? ''}, each text cut to ${ERROR_BYTES} bytes`,
      `no longer than ${PUBLISH_LIMIT / 1024} KiB`,
      `we stop at ${INFLATE_LIMIT / 1024 / 1024} MiB`,
      `with us ${FAILURE_TTL / 86400} days`,
      `the worker decides (${RESULT_TTL})`,
      `gives running ones ${SHUTDOWN_TIMEOUT} s`,
      `A script tells ${RELEASE_BATCH} dependents at most`,
      `${RELEASE_BATCH} / (1 + bytes / 4096)`,
      `of up to ${SWEEP_BATCH} ids at a random place of \`rq:canceled:<queue>\` and of \`rq:deferred:<queue>\``,
      `until it is ${DUE_PATIENCE} s overdue`,
      `goes ${DUE_PATIENCE} s after it was added`,
    ]) {
      expect(text).toContain(said);
    }
  });

  it('has a heading for each link within itself', () => {
    const anchors = [...DOCUMENT.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-'),
    );
    const headings = new Set(anchors);
    const links = [...DOCUMENT.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor);
    expect(links.length).toBeGreaterThan(0);
    expect(links.filter(anchor => !headings.has(anchor))).toEqual([]);
  });
});

describe('docs/wire-format.md, with a real Redis', () => {
  let redis: RedisServer;
  let folder: string;
  const started: ChildProcess[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    folder = await mkdtemp(join(tmpdir(), 'rq-node-docs-'));
    // what `npm install rq-node` makes
    const bin = join(folder, 'node_modules', '.bin');
    await mkdir(bin, { recursive: true });
    const program = join(ROOT, 'dist', 'bin', 'rq-worker.js');
    await writeFile(join(bin, 'rq-worker'), `#!/bin/sh\nexec node '${program}' "$@"\n`, { mode: 0o755 });
    // a person's terminal, and a Redis on the default port
    const cli = `#!/bin/sh\nPATH='${PATH}'\nexec redis-cli -p ${redis.port} --no-raw "$@"\n`;
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'bin', 'redis-cli'), cli, { mode: 0o755 });
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

  it('names every field that is written into a hash', async () => {
    const { client } = redis;
    await using q = new Queue('fields', { connection: redis.url });
    const jobOptions = {
      timeout: 10,
      ttl: 60,
      resultTtl: 60,
      failureTtl: 60,
      meta: { a: 1 },
      kwargs: { b: 2 },
    };
    const [bad, lost] = await Promise.all([
      q.enqueue('bad', [], { ...jobOptions, jobId: 'bad' }),
      q.enqueue('good', [], { ...jobOptions, jobId: 'lost' }),
    ]);
    // a run of a worker that died long ago
    await client.lrem('rq:queue:fields', 0, lost.id);
    await client.hset(`rq:job:${lost.id}`, { status: 'started', execution_id: 'n1', worker_name: 'dead' });
    await client.zadd('rq:wip:fields', 1, `${lost.id}:n1`);

    const fields = { job: new Set<string>(), worker: new Set<string>() };
    const look = async (): Promise<void> => {
      for (const key of await client.keys('rq:job:*')) {
        if ((await client.type(key)) !== 'hash') continue;
        for (const field of await client.hkeys(key))
          fields.job.add(field.replace(/^argument:.*/, 'argument:<id>'));
      }
      for (const field of await client.hkeys('rq:worker:documented')) fields.worker.add(field);
    };
    const work = async (): Promise<void> => {
      const functions = {
        async bad() {
          await expect.poll(() => client.hget('rq:worker:documented', 'current_job')).toBe('bad');
          await look();
          throw new Error('on purpose');
        },
        good: look,
      };
      const worker = new Worker('fields', { connection: redis.url, functions, name: 'documented' });
      await worker.work({ burst: true });
      await look();
    };
    await work();
    // one that waits, with the result of another one, and one that repeats
    const later = await q.enqueueIn('1h', 'good');
    const special = { allowFailure: true, atFront: true };
    await q.enqueue('good', [lost, later], { dependsOn: special });
    await q.group([['good', [], { repeat: { times: 1 } }]], { name: 'documented' });
    await look();
    await bad.requeue();
    await look();
    await work();
    expect(await lost.result).toBeNull();

    const documented = { job: firstColumn('The job hash'), worker: firstColumn('Workers') };
    expect([...fields.job].filter(field => !documented.job.includes(field))).toEqual([]);
    expect([...fields.worker].filter(field => !documented.worker.includes(field))).toEqual([]);
    // the scenario has seen what it was made for
    const alone = ['execution_id', 'errors', 'enqueue_id', 'recoveries'];
    const related = [
      'takes_results',
      'argument:<id>',
      'repeated_run',
      'repeat_intervals',
      'group_id',
      'dependency_ids',
    ];
    const ours = [...alone, ...related, 'allow_dependency_failures', 'enqueue_at_front'];
    expect([...fields.job]).toEqual(expect.arrayContaining([...ours, 'exc_info', 'result', 'meta', 'ttl']));
    expect([...fields.worker]).toEqual(
      expect.arrayContaining(['mark', 'death', 'current_job', 'failed_job_count']),
    );

    const [error] = JSON.parse((await client.hget('rq:job:bad', 'errors')) ?? '[]') as [object];
    const [, form = ''] = /JSON list of `\{([^}]+)\}`/.exec(section('The job hash')) ?? [];
    expect(Object.keys(error).toSorted()).toEqual(form.split(', ').toSorted());
  });

  /** Runs a command of the example; its output once it ended, or '' at once for one that ends with `&`. */
  async function run(line: string): Promise<string> {
    const background = line.endsWith(' &');
    const child = spawn('sh', ['-c', `exec ${background ? line.slice(0, -2) : line}`], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${folder}/bin:${PATH}`, RQ_REDIS_URL: redis.url },
    });
    started.push(child);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
    if (background) return '';
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${line} ended with ${String(code)}:\n${out}`);
    return out;
  }

  it('runs its worked example', async () => {
    const example = section('A worked example');
    const [, program = ''] = /^```js\n(\/\/ tasks\.js\n[\s\S]*?)^```$/m.exec(example) ?? [];
    await writeFile(join(folder, 'tasks.js'), program);
    const steps = [...example.matchAll(/^```console\n([\s\S]*?)^```$/gm)].flatMap(([, text = '']) =>
      text
        .split(/^\$ /m)
        .slice(1)
        .map(step => step.split(/\n([\s\S]*)/, 2) as [command: string, output: string]),
    );
    expect(steps).toHaveLength(13);
    for (const [command, text] of steps) {
      // … stands for what differs each time
      const literal = text.split('…').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      const expected = new RegExp(`^${literal.join('[^"\\n]+')}$`);
      // what is only looked at may take its time; what changes something is done once
      const looks = /^redis-cli (?:HMGET|LLEN|ZRANGE|SMEMBERS|TTL) /.test(command);
      let done: Promise<string> | undefined;
      const output = (): Promise<string> => (looks ? run(command) : (done ??= run(command)));
      await expect.poll(output, { timeout: 10_000, message: command }).toMatch(expected);
    }
  });
});
