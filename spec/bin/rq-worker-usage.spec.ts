import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { useFolder } from '../support/folder.ts';
import { useRedis } from '../support/in-process.ts';
import { startRedis } from '../support/redis.ts';
import { TASKS, WorkerProcess } from '../support/worker-process.ts';

/** Nobody listens there; what is refused is refused before anybody asks. */
const NOWHERE = 'redis://127.0.0.1:1';
const ONE_LINE = /^rq-worker: .*\n$/;
const RUNS_TYPESCRIPT = Boolean((process.features as { readonly typescript?: unknown }).typescript);

const redis = useRedis();
const folder = useFolder();
const slow: WorkerProcess[] = [];

beforeAll(async () => {
  // these two take five seconds to say something: they run beside the rest
  const forever = 'await new Promise(() => {});\nexport const late = () => 1;\n';
  const held = await folder.write('held.mjs', `setInterval(() => {}, 1000);\n${forever}`);
  const empty = await folder.write('unsettled.mjs', forever);
  for (const path of [held, empty]) slow.push(new WorkerProcess(['-u', redis.url, '-f', path]));
});

afterAll(() => Promise.all(slow.map(worker => worker.end())));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const worker = new WorkerProcess(args, env);
  const { code } = await worker.exit();
  return { code, out: worker.out, err: worker.err };
}

const load = (...modules: readonly string[]): Promise<Ended> =>
  run(['-u', NOWHERE, ...modules.flatMap(path => ['-f', path])]);

describe('rq-worker --help', () => {
  const flags = [
    '[queues...]',
    '-u, --url',
    '-f, --functions <[prefix=]module>',
    '--cron <module>',
    '-c, --concurrency',
    '-n, --name',
    '-b, --burst',
    '--max-jobs',
    '--max-idle-time',
    '--results-ttl',
    '--shutdown-timeout',
    '--dequeue-strategy',
    'round_robin',
    'random',
    '--allow-eviction',
    '-v, --verbose',
    '-q, --quiet',
    '--log-level',
    '--no-args',
    '--exception-handler',
    '--metrics-port',
    '--metrics-host',
    '--disable-job-desc-logging',
    '--pid',
    '--log-format',
    'json',
    '--version',
    '--help',
    'RQ_REDIS_URL',
    'redis://127.0.0.1:6379',
  ];

  it('names every flag and where Redis is by default, and exits with 0', async () => {
    const { code, out, err } = await run(['--help']);
    for (const flag of flags) expect(out).toContain(flag);
    expect(err).toBe('');
    expect(code).toBe(0);
  });
});

describe('rq-worker --version', () => {
  it('prints the version of the package and nothing else', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, out: `${packageJson.version}\n`, err: '' });
  });
});

describe('flags of RQ’s worker that change nothing here', () => {
  it.each([[['-s']], [['--with-scheduler', '-S', 'json']], [['--serializer', 'json']]])('%j', async flags => {
    const { code, err } = await run(['-b', '-u', redis.url, '-f', TASKS, ...flags]);
    expect([code, err]).toEqual([0, '']);
  });
});

describe('wrong usage of rq-worker', () => {
  const tasks = ['-f', TASKS, '-u', NOWHERE];

  it.each<[what: string, args: readonly string[], said: RegExp]>([
    ['an unknown option', [...tasks, '--bogus'], /--bogus/],
    ['a concurrency of 0', [...tasks, '--concurrency', '0'], /concurrency.*'0'/],
    ['a concurrency of -1', [...tasks, '-c', '-1'], /concurrency.*'-1'/],
    ['a concurrency that is no number', [...tasks, '-c', 'abc'], /concurrency.*'abc'/],
    ['a concurrency that is no whole number', [...tasks, '-c', '1.5'], /concurrency.*'1\.5'/],
    ['--max-jobs 0', [...tasks, '--max-jobs', '0'], /max-jobs.*'0'/],
    ['an idle time that is no duration', [...tasks, '--max-idle-time', '5 parsecs'], /"5 parsecs"/],
    ['a results ttl that is no duration', [...tasks, '--results-ttl', '5 parsecs'], /"5 parsecs"/],
    ['a shutdown timeout that is no duration', [...tasks, '--shutdown-timeout', '5 parsecs'], /"5 parsecs"/],
    ['a queue name with a space', [...tasks, 'good', 'not good'], /"not good"/],
    ['an empty queue name', [...tasks, ''], /queue name.*""/],
    ['a worker name with a space', [...tasks, '--name', 'no name'], /"no name"/],
    ['no functions', ['-u', NOWHERE], /--functions/],
    ['an unknown strategy', [...tasks, '--dequeue-strategy', 'psychic'], /psychic.*round_robin/],
    ['an unknown log level', [...tasks, '--log-level', 'loud'], /loud.*debug, info, warn, error/],
    ['-v beside -q', [...tasks, '-v', '-q'], /--quiet.*--verbose/],
    ['a log level beside -q', [...tasks, '-q', '--log-level', 'info'], /--log-level.*--quiet/],
    ['a metrics port that is none', [...tasks, '--metrics-port', 'http'], /metrics-port.*'http'/],
    ['a metrics port beyond all', [...tasks, '--metrics-port', '65536'], /metrics\.port.*65536/],
    [
      'a metrics host without a port',
      [...tasks, '--metrics-host', '::1'],
      /--metrics-host needs --metrics-port/,
    ],
    ['an unknown log format', [...tasks, '--log-format', 'xml'], /xml.*text, json/],
    ['a URL of another protocol', ['-f', TASKS, '-u', 'http://127.0.0.1:1'], /"http:"/],
    ['a URL that is none', ['-f', TASKS, '-u', 'nonsense'], /URL.*redis:\/\//],
  ])('exits with 2 for %s, and says what is wrong without a stack', async (_, args, said) => {
    const { code, out, err } = await run(args);
    expect(err).toMatch(said);
    expect(err).not.toMatch(/^ +at /m);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  it('proposes the option that was meant', async () => {
    const { code, err } = await run([...tasks, '--concurency', '2']);
    expect(err).toContain('--concurrency');
    expect(code).toBe(2);
  });

  it('refuses a URL from RQ_REDIS_URL in the same way', async () => {
    const { code, err } = await run(['-f', TASKS], { RQ_REDIS_URL: 'nonsense' });
    expect(err).toMatch(/URL.*redis:\/\//);
    expect(code).toBe(2);
  });

  it.each([
    'redis://bob:sekret@127.0.0.1:99999',
    'redis://bob:sekret@127.0.0.1:1/zero',
    'http://bob:sekret@127.0.0.1:1',
    // a slash that should have been written %2F
    'redis://bob:/sekret@127.0.0.1:1',
    'redis://bob:1/sekret@127.0.0.1:1',
  ])('shows no password when it refuses %s', async url => {
    const { code, out, err } = await run(['-f', TASKS, '-u', url]);
    expect(code).toBe(2);
    expect(err).toContain('rq-worker: ');
    expect(out + err).not.toContain('sekret');
  });
});

describe('rq-worker --functions', () => {
  it.each<[what: string, text: string, cause: RegExp]>([
    ['throws', 'throw new Error("boom at load\\nand more")', /boom at load/],
    ['throws what has no text', 'throw Object.create(null)', /: ./],
    ['has a syntax error', 'export const f = ( =>', /Unexpected token/],
    ['imports what is missing', "import './not-there.mjs'; export const f = () => 1;", /not-there\.mjs/],
    ['exports no function', 'export const a = 1; export class B {}', /exports no function/],
  ])('exits with 1 and one line, with the cause, for a module that %s', async (what, text, cause) => {
    const path = await folder.write(`${what.replaceAll(' ', '-')}.mjs`, text);
    const { code, out, err } = await load(path);
    expect(err).toMatch(cause);
    expect(err).toContain(path);
    expect(err).toMatch(ONE_LINE);
    expect(out).toBe('');
    expect(code).toBe(1);
  });

  it.each([
    ['a file that is missing', 'missing.mjs', /there is no file/],
    ['a directory', '.', /is a directory/],
  ])('exits with 1 and one line for %s', async (_, name, cause) => {
    const path = folder.of(name);
    const { code, err } = await load(path);
    expect(err).toMatch(cause);
    expect(err).toContain(path);
    expect(err).toMatch(ONE_LINE);
    expect(code).toBe(1);
  });

  it('exits with 1 and one line for two functions of one name', async () => {
    const one = await folder.write('one.mjs', 'export const same = () => 1;');
    const two = await folder.write('two.mjs', 'export const same = () => 2;');
    const { code, err } = await load(one, two);
    expect(err).toMatch(/Two functions.*'same'/);
    expect(err).toContain(two);
    expect(err).toMatch(ONE_LINE);
    expect(code).toBe(1);
  });

  it('takes a .ts file where Node does, and says in one line what to do where it does not', async () => {
    const path = await folder.write('typed.ts', 'export const twice = (x: number): number => 2 * x;');
    const { code, err } = await run(['-b', '-q', '-u', redis.url, '-f', path]);
    expect(err).toMatch(
      RUNS_TYPESCRIPT ? /^(?!rq-worker:)/ : /^rq-worker: .*typed\.ts.*(--import|loader).*\.js.*\n$/,
    );
    expect(code).toBe(RUNS_TYPESCRIPT ? 0 : 1);
  });

  it('takes a .ts file with a loader', async () => {
    const path = await folder.write('loaded.ts', 'export const twice = (x: number): number => 2 * x;');
    await folder.write(
      'hooks.mjs',
      `import { readFile } from 'node:fs/promises';
      export async function load(url, context, next) {
        if (!url.endsWith('.ts')) return next(url, context);
        const source = (await readFile(new URL(url), 'utf8')).replaceAll(': number', '');
        return { format: 'module', shortCircuit: true, source };
      }`,
    );
    const loader = await folder.write(
      'loader.mjs',
      "import { register } from 'node:module'; register('./hooks.mjs', import.meta.url);",
    );
    const env = { NODE_OPTIONS: `--import ${loader}` };
    expect(await run(['-b', '-q', '-u', redis.url, '-f', path], env)).toEqual({ code: 0, out: '', err: '' });
  });

  it('names the .ts file that another module imports, not that module, as what Node can’t run', async () => {
    await folder.write('inner.ts', 'export const twice = (x: number): number => 2 * x;');
    const path = await folder.write('outer.mjs', "export * from './inner.ts';");
    const { code, err } = await run(['-b', '-q', '-u', redis.url, '-f', path]);
    expect(err).toMatch(RUNS_TYPESCRIPT ? /^(?!rq-worker:)/ : /\.ts/);
    expect(err).not.toMatch(/can't run \.mjs/);
    expect(code).toBe(RUNS_TYPESCRIPT ? 0 : 1);
  });

  describe('with a module that hangs in a top-level await', () => {
    it('warns after 5 s, naming it, and ends at SIGTERM', async () => {
      const [worker] = slow as [WorkerProcess];
      await worker.said(/held\.mjs.*5 s/);
      const { code, signal } = await worker.end('SIGTERM');
      expect(signal ?? code).toBeOneOf(['SIGTERM', 0]);
    });

    it('waits for one that holds nothing open, too', async () => {
      const worker = slow[1] as WorkerProcess;
      await worker.said(/unsettled\.mjs.*5 s/);
      expect(await Promise.race([worker.exit(), sleep(500, 'waiting')])).toBe('waiting');
      const { code, signal } = await worker.end('SIGTERM');
      expect(signal ?? code).toBeOneOf(['SIGTERM', 0]);
    });
  });
});

describe('rq-worker on a Redis that may evict keys', () => {
  it('exits with 1 and names the setting', async () => {
    const evicting = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    try {
      const { code, err } = await run(['-b', '-u', evicting.url, '-f', TASKS]);
      expect(err).toMatch(/^rq-worker: maxmemory-policy is allkeys-lru.*--allow-eviction.*\n$/);
      expect(await evicting.client.keys('*')).toEqual([]);
      expect(code).toBe(1);
    } finally {
      await evicting.stop();
    }
  });

  it('works with --allow-eviction', async () => {
    const evicting = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    try {
      const { code, out } = await run(['-b', '--allow-eviction', '-u', evicting.url, '-f', TASKS]);
      expect(out).toContain('*** Listening on default...');
      expect(code).toBe(0);
    } finally {
      await evicting.stop();
    }
  });
});

describe('rq-worker --metrics-port', () => {
  it('exits with 1 and one line where the port is taken', async () => {
    const args = ['-b', '-u', redis.url, '-f', TASKS, '--metrics-port', String(redis.port)];
    const { code, out, err } = await run(args);
    expect(err).toMatch(/^rq-worker: Metrics can't be served on 127\.0\.0\.1:\d+: .*EADDRINUSE.*\n$/);
    // nothing of it was begun
    expect(out).not.toContain('started');
    expect(await redis.client.keys('*')).toEqual([]);
    expect(code).toBe(1);
  });
});

describe('rq-worker --pid', () => {
  it('exits with 1 and one line where the file can’t be written', async () => {
    const path = folder.of('no', 'such', 'folder');
    const { code, err } = await run(['-b', '-u', redis.url, '-f', TASKS, '--pid', path]);
    expect(err).toMatch(/^rq-worker: .*folder.*\n$/);
    expect(code).toBe(1);
  });

  it('exits with 1 and one line for a directory, and leaves it', async () => {
    const { code, err } = await run(['-b', '-u', redis.url, '-f', TASKS, '--pid', folder.path]);
    expect(err).toMatch(/^rq-worker: .*directory.*\n$/);
    expect(code).toBe(1);
  });
});
