import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { useFolder } from '../support/folder.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { PROGRAM, TASKS, type WorkerProcess } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';

/** C0 (but for the end of a line), DEL and C1: what a terminal might obey; and what turns a text around. */
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/;
/** An escape sequence as C0 and as C1, a new line, a bell, and a text from right to left. */
const NASTY = 'a\u001b[31mb\u009b31mc\nd\u0007e\u007f\u202e\u2028';

const redis = useRedis();
const queue = useQueue(redis);
const folder = useFolder();
const workers = useWorkerProcesses(redis);

const start = (...args: readonly string[]): WorkerProcess => workers.start([], ...args);
const burst = (...args: readonly string[]): Promise<WorkerProcess> => workers.runs([], '--burst', ...args);

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>);
}

describe('the text log of rq-worker', () => {
  it('puts a failed job on standard error, with the stack of what was thrown', async () => {
    const job = await queue.enqueue('fail', ['on purpose']);
    const worker = await burst();
    const [title = '', error = '', first = ''] = worker.err.split('\n');
    expect(title).toMatch(/^\d\d:\d\d:\d\d default: /);
    expect(title).toContain(`(${job.id})`);
    expect(error).toBe('    RangeError: on purpose');
    expect(first).toMatch(/^ {8}at fail \(.*tasks\.js:\d+:\d+\)$/);
    expect(worker.out).not.toContain('RangeError');
    expect(worker.out).not.toContain('Job OK');
  });

  it('escapes control characters in a description, which stays on one line', async () => {
    const job = await queue.enqueue('nothing', [], { description: NASTY });
    const worker = await burst();
    expect(worker.all).not.toMatch(CONTROLS);
    const line = worker.out.split('\n').find(text => text.includes('31mb'));
    expect(line).toMatch(/^\d\d:\d\d:\d\d default: a\S+31mb\S+31mc\S+d\S+e\S* \(/);
    expect(line).toContain(`(${job.id})`);
  });

  it('escapes control characters in the message of an error', async () => {
    await queue.enqueue('fail', [NASTY], { description: 'nasty' });
    const worker = await burst();
    expect(worker.err).toContain('31mb');
    expect(worker.err).not.toMatch(CONTROLS);
  });

  it('escapes control characters in a function’s name that nobody registered', async () => {
    await redis.client.hset('rq:job:odd', {
      data: JSON.stringify([NASTY, null, [], {}]),
      status: 'queued',
      origin: 'default',
      created_at: '2026-01-01T00:00:00.000000Z',
    });
    await redis.client.rpush('rq:queue:default', 'odd');
    const worker = await burst();
    expect(worker.err).toContain('not registered');
    expect(worker.all).not.toMatch(CONTROLS);
  });

  it('escapes control characters in an id that is none', async () => {
    await redis.client.rpush('rq:queue:default', `id${NASTY}`);
    const worker = await burst('--verbose');
    expect(worker.all).toContain('31mb');
    expect(worker.all).not.toMatch(CONTROLS);
  });

  it('escapes control characters in what it says of a module', async () => {
    const path = folder.of('named.mjs');
    await writeFile(
      path,
      `const { fn } = { fn: { [${JSON.stringify(NASTY)}]() {} }[${JSON.stringify(NASTY)}] };\nexport { fn };`,
    );
    const worker = await burst('--functions', path);
    expect(worker.err).toContain("'fn'");
    expect(worker.all).not.toMatch(CONTROLS);
  });
});

describe('rq-worker --log-format json', () => {
  it('writes a JSON object a line, with pino’s fields', async () => {
    const before = Date.now();
    const job = await queue.enqueue('sum', [[42, 43]]);
    const worker = await burst('--log-format', 'json', '--name', 'w1');
    const lines = jsonLines(worker.out);
    for (const line of lines) {
      expect(line).toMatchObject({ level: 30, pid: worker.pid, worker: 'w1', msg: expect.any(String) });
      expect(line['time']).toBeGreaterThanOrEqual(before);
      expect(line['time']).toBeLessThanOrEqual(Date.now());
      expect(line['hostname']).toEqual(expect.any(String));
    }
    const of = { job_id: job.id, queue: 'default', function: 'sum', worker: 'w1' };
    expect(lines.find(({ msg }) => String(msg).includes('sum([42, 43])'))).toMatchObject(of);
    expect(lines.find(({ msg }) => String(msg).includes('Job OK'))).toMatchObject({
      ...of,
      duration_ms: expect.any(Number),
      msg: `default: Job OK (${job.id})`,
    });
    expect(worker.err).toBe('');
  });

  it('says how long a job ran', async () => {
    await queue.enqueue('stubborn', [300]);
    const worker = await burst('--log-format', 'json');
    const ended = jsonLines(worker.out).find(({ msg }) => String(msg).includes('Job OK'));
    expect(ended?.['duration_ms']).toBeGreaterThanOrEqual(290);
    // milliseconds, and not microseconds: a machine may stall
    expect(ended?.['duration_ms']).toBeLessThan(20_000);
  });

  it('writes errors to standard error, with type, message and stack under err', async () => {
    const job = await queue.enqueue('fail', ['on purpose']);
    const worker = await burst('--log-format', 'json');
    const [line, ...others] = jsonLines(worker.err);
    expect(others).toEqual([]);
    expect(line).toMatchObject({
      level: 50,
      job_id: job.id,
      queue: 'default',
      function: 'fail',
      duration_ms: expect.any(Number),
      err: { type: 'RangeError', message: 'on purpose', stack: expect.stringContaining('tasks.js:') },
    });
  });

  it('escapes control characters, C1 among them, in every field', async () => {
    await queue.enqueue('fail', [NASTY], { description: NASTY });
    const worker = await burst('--log-format', 'json');
    expect(jsonLines(worker.out).map(({ msg }) => msg)).toContainEqual(expect.stringContaining('31mb'));
    expect(jsonLines(worker.err)).toMatchObject([{ err: { message: expect.stringContaining('31mb') } }]);
    expect(worker.out).not.toMatch(CONTROLS);
    expect(worker.err).not.toMatch(CONTROLS);
  });
});

describe('rq-worker --quiet and --verbose', () => {
  it('logs warnings and errors only with -q', async () => {
    await queue.enqueue('nothing', []);
    const failed = await queue.enqueue('fail', ['on purpose']);
    const worker = await burst('-q');
    expect(worker.out).toBe('');
    expect(worker.err).toContain(failed.id);
    expect(worker.err).toContain('RangeError: on purpose');
  });

  it.each([
    ['says with -v', ['-v'], true],
    ['does not say without it', [], false],
  ])('%s that an id without a job was dropped', async (_, args, said) => {
    await redis.client.rpush('rq:queue:default', 'expired-long-ago');
    const worker = await burst(...args);
    expect(worker.all.includes('expired-long-ago')).toBe(said);
    expect(await redis.client.llen('rq:queue:default')).toBe(0);
  });
});

describe('rq-worker --log-level', () => {
  it.each([
    ['debug', { drops: true, jobs: true, failures: true }],
    ['info', { drops: false, jobs: true, failures: true }],
    ['warn', { drops: false, jobs: false, failures: true }],
    ['error', { drops: false, jobs: false, failures: true }],
  ])('%s logs that and what is above', async (level, expected) => {
    await redis.client.rpush('rq:queue:default', 'expired-long-ago');
    await queue.enqueue('fail', ['on purpose'], { retry: { max: 1 } });
    const { all } = await burst('--log-level', level);
    expect({
      drops: all.includes('expired-long-ago'),
      jobs: all.includes('*** Listening'),
      failures: all.includes('Job failed ('),
    }).toEqual(expected);
    // a failure that is retried is a warning
    expect(all.includes('enqueued for retry')).toBe(level !== 'error');
  });
});

describe.each(['--disable-job-desc-logging', '--no-args'])('rq-worker %s', flag => {
  it.each(['text', 'json'])('logs no argument, as %s', async format => {
    const secret = 'pa55word';
    const job = await queue.enqueue('echo', [secret]);
    const described = await queue.enqueue('nothing', [], { description: `with ${secret}` });
    const worker = await burst('-v', flag, '--log-format', format);
    expect(worker.all).not.toContain(secret);
    for (const { id } of [job, described]) expect(worker.out).toContain(`default: Job OK (${id})`);
  });
});

describe('the colours of rq-worker', () => {
  /** Its output on a terminal of its own. */
  async function onTerminal(env: Readonly<Record<string, string>>): Promise<string> {
    const command = [process.execPath, PROGRAM, '-b', '-u', redis.url, '-f', TASKS]
      .map(word => `'${word}'`)
      .join(' ');
    const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null'], {
      env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm-256color', ...env },
    });
    return stdout;
  }

  it('are there on a terminal: green for a job that finished, red for one that failed', async () => {
    const ok = await queue.enqueue('nothing', []);
    const bad = await queue.enqueue('fail', [NASTY], { description: NASTY });
    const text = await onTerminal({});
    expect(text).toContain(`\u001b[32mdefault: Job OK (${ok.id})\u001b[39m`);
    expect(text).toMatch(new RegExp(`\\u001b\\[31mdefault: [^\\n]*\\(${bad.id}\\)`));
    // and nothing but them
    expect(text.replaceAll(/\u001b\[(31|32|33|39|90)m/g, '').replaceAll('\r\n', '\n')).not.toMatch(CONTROLS);
    expect(text).not.toContain('\u001b[31mb');
  });

  it('are not there with NO_COLOR', async () => {
    await queue.enqueue('fail', ['on purpose']);
    const text = await onTerminal({ NO_COLOR: '1' });
    expect(text).toContain('RangeError: on purpose');
    expect(text).not.toContain('\u001b');
  });

  it('are not there in a pipe', async () => {
    await queue.enqueueMany([
      ['nothing', []],
      ['fail', ['on purpose']],
    ]);
    const worker = await burst();
    expect(worker.out).toContain('Job OK');
    expect(worker.err).toContain('RangeError: on purpose');
    expect(worker.all).not.toContain('\u001b');
  });
});

describe('an rq-worker whose log nobody reads any more', () => {
  it('goes on running jobs, and stops as ever', async () => {
    const worker = await start().listening();
    worker.child.stdout?.destroy();
    worker.child.stderr?.destroy();
    for (const n of [1, 2, 3]) {
      const failed = await queue.enqueue('fail', ['nobody reads this']);
      const job = await queue.enqueue('add', [n, n]);
      expect(await job.wait({ timeout: '15s' })).toBe(2 * n);
      expect(await failed.getStatus()).toBe('failed');
    }
    expect(await worker.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await redis.client.smembers('rq:workers')).toEqual([]);
  });

  it('ends a burst with 0 behind a reader that takes one line', async () => {
    const jobs = await queue.enqueueMany(Array.from({ length: 50 }, (_, n) => ['add', [n, 1]] as const));
    const command = `'${process.execPath}' '${PROGRAM}' -b -u ${redis.url} -f '${TASKS}' | head -n 1; exit "\${PIPESTATUS[0]}"`;
    const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [code] = (await once(child, 'close')) as [number | null];
    expect(code).toBe(0);
    expect(await Promise.all(jobs.map(job => job.result))).toEqual(jobs.map((_, n) => n + 1));
  });
});
