/** README.md's section on production, held to the code: its modules are loaded by a worker, its tables name what is served. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LEASE, WORKER_TTL_MARGIN, GRACE, SHUTDOWN_TIMEOUT } from '../lib/defaults.ts';
import { Queue, Worker } from '../lib/index.ts';
import { served } from './support/metrics.ts';
import { freePort, startRedis, type RedisServer } from './support/redis.ts';
import { ROOT, Reader, section } from './support/readme.ts';

const its = section('In production');
const [errors = [], asked = [], traced = []] = its.sessions;
const command = (steps: typeof errors): string => steps[0]?.command ?? '';

/** What stands in for `@sentry/node`: it notes its calls in a file. */
const SENTRY = `import { appendFileSync } from 'node:fs';
const note = (name, what) => appendFileSync(process.env.NOTES, JSON.stringify([name, what]) + '\\n');
export const init = options => note('init', options);
export const captureException = (error, context) => note('captureException', { name: error.name, message: error.message, ...context });
export const flush = async ms => { await new Promise(resolve => setTimeout(resolve, 100)); note('flush', ms); return true; };
`;

describe('README, In production', () => {
  let redis: RedisServer;
  let reader: Reader;
  let notes: string;

  beforeAll(async () => {
    redis = await startRedis();
    reader = await Reader.start(redis.url);
    notes = join(reader.folder, 'notes');
    const modules = join(reader.folder, 'node_modules');
    await mkdir(join(modules, '@sentry', 'node'), { recursive: true });
    await symlink(join(ROOT, 'node_modules', '@opentelemetry'), join(modules, '@opentelemetry'));
    await symlink(join(ROOT, 'node_modules', 'pino'), join(modules, 'pino'));
    await reader.write([
      ['package.json', '{ "type": "module" }'],
      ['node_modules/@sentry/node/package.json', '{ "type": "module", "exports": "./index.js" }'],
      ['node_modules/@sentry/node/index.js', SENTRY],
      ...its.files,
    ]);
  });
  afterAll(async () => {
    await reader?.end();
    await redis?.stop();
  });

  it('names its files and its commands', () => {
    expect([...its.files.keys()]).toEqual(['tasks.js', 'report-errors.js', 'tracing.js']);
    expect(its.pieces).toHaveLength(1);
    expect([errors, asked, traced].map(steps => steps.length)).toEqual([1, 1, 1]);
  });

  it('its recipe reports each failure to Sentry, with the job, and says that it is ready', async () => {
    const port = String(await freePort());
    const line = `env NOTES=${notes} SENTRY_DSN=https://key@sentry.example/1 ${command(errors)}`;
    await reader.run(line.replace('9464', port));
    await using q = new Queue('default', { connection: redis.url });
    const [good, bad] = await q.enqueueMany([
      ['divide', [6, 3]],
      ['divide', [1, 0]],
    ]);
    expect(await good.wait({ timeout: '10s' })).toBe(2);
    await expect(bad.wait({ timeout: '10s' })).rejects.toMatchObject({ code: 'RQ_JOB_FAILED' });
    const noted = async (): Promise<unknown[]> =>
      (await readFile(notes, 'utf8'))
        .trimEnd()
        .split('\n')
        .map(each => JSON.parse(each) as unknown);
    await expect.poll(noted, { timeout: 10_000 }).toEqual([
      ['init', { dsn: 'https://key@sentry.example/1' }],
      [
        'captureException',
        {
          name: 'RangeError',
          message: "1 can't be divided by 0",
          tags: { queue: 'default', function: 'divide' },
          extra: {
            jobId: bad.id,
            executionId: await redis.client.hget(`rq:job:${bad.id}`, 'execution_id'),
            ranFor: expect.any(Number),
          },
        },
      ],
      ['flush', 2_000],
    ]);
    for (const { command: ask, output } of asked) {
      await expect.poll(() => reader.run(ask.replace('9464', port))).toBe(output);
    }
  });

  it('its logger is pino', async () => {
    await using q = new Queue('logged', { connection: redis.url });
    await q.enqueue('divide', [1, 0], { description: 'secret' });
    const [piece = ''] = its.pieces;
    const script = `${piece.replace("'default'", "'logged'")}\nawait worker.work({ burst: true });\n`;
    await writeFile(join(reader.folder, 'logged.js'), script);
    const out = await reader.run('node logged.js');
    const lines = out.trimEnd().split('\n');
    expect(lines.map(line => JSON.parse(line) as object)).toMatchObject([
      { level: 50, function: 'divide', err: { type: 'RangeError' } },
    ]);
    expect(out).not.toContain('secret');
  });

  it('its tracer gets a span of each run', async () => {
    await using q = new Queue('traced', { connection: redis.url });
    await q.enqueue('divide', [1, 0]);
    const out = await reader.run(`env ${command(traced).replace('rq-worker', 'rq-worker traced')}`);
    expect(out).toContain("name: 'run divide'");
    expect(out).toMatch(/status: \{ code: 2, message: "1 can't be divided by 0" \}/);
  });

  it('has each metric that is served, with its type and its labels', async () => {
    const rows = [...its.text.matchAll(/^\| (`rq_[^|]+)\| (\w+) +\| ([^|]*)\|/gm)].flatMap(
      ([, names = '', type = '', labels = '']) =>
        [...names.matchAll(/`(\w+)`/g)].map(([, name = '']) => [name, type, labels.trim()] as const),
    );
    const worker = new Worker('q', {
      connection: redis.url,
      functions: { f: () => 1 },
      metrics: { port: 0 },
    });
    const { url, working } = await served(worker);
    const text = await (await fetch(`${url}/metrics`)).text();
    await worker.stop();
    await working;
    const types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]));
    const own = [...types.keys()].filter(name => name?.startsWith('rq_'));
    expect(rows.map(([name]) => name).toSorted()).toEqual(own.toSorted((a = '', b = '') => (a < b ? -1 : 1)));
    expect(rows.filter(([name, type]) => type !== 'both' && types.get(name) !== type)).toEqual([]);
    for (const [name] of its.text.matchAll(/(?<=`)(nodejs|process)_\w+/g)) expect(types.has(name)).toBe(true);
  });

  it('says the numbers that the code has', () => {
    expect(its.text).toContain(`a heartbeat within the last ${(LEASE + WORKER_TTL_MARGIN) / 2} s`);
    expect(its.text).toContain(`${SHUTDOWN_TIMEOUT + GRACE + 10} s with the defaults`);
  });
});
