import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import {
  appendFile,
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The commands that every system has; all others are fakes. */
const REAL = [
  'sh',
  'cat',
  'cksum',
  'sed',
  'dirname',
  'env',
  'rm',
  'mkdir',
  'chmod',
  'cp',
  'uname',
  'tr',
  'cut',
];
const REDIS_7 = 'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0';

/** A copy of what the script needs, and a folder of commands that is its whole PATH. */
let project: string;
let commands: string;
let record: string;

beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), 'rq-node-setup-'));
  commands = join(project, 'commands');
  record = join(project, 'record');
  await mkdir(join(project, 'scripts'));
  await mkdir(join(project, 'node_modules'));
  await mkdir(commands);
  await writeFile(record, '');
  for (const file of ['package.json', 'package-lock.json', 'scripts/setup']) {
    await copyFile(join(ROOT, file), join(project, file));
  }
  for (const name of REAL) await symlink(whereIs(name), join(commands, name));
  await fake('faketime', 'exit 0', false);
  await fake('npm', 'rm -rf node_modules; mkdir -p node_modules/installed');
  await stamp();
});
afterEach(() => rm(project, { recursive: true, force: true }));

function whereIs(name: string): string {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // not in this one
    }
  }
  throw new Error(`no ${name} on the PATH`);
}

/** A command that notes its arguments and then does what `body` says. */
async function fake(name: string, body: string, noted = true): Promise<void> {
  const path = join(commands, name);
  const note = noted ? `printf '%s\\n' "${name} $*" >>'${record}'\n` : '';
  await writeFile(path, `#!/bin/sh\n${note}${body}\n`);
  await chmod(path, 0o755);
}

const redisServer = (says: string): Promise<void> => fake('redis-server', `echo '${says}'`, false);
const user = (id: number): Promise<void> => fake('id', `echo ${id}`, false);

/** What a package manager's fake does when it is told to install Redis. */
const installs = (says: string): string =>
  `case "$*" in *install*|*add*) printf '#!/bin/sh\\necho "${says}"\\n' >'${commands}/redis-server'
chmod 755 '${commands}/redis-server' ;; esac`;

/** Marks node_modules as installed from this lock file, as the script itself does. */
async function stamp(): Promise<void> {
  const input = await readFile(join(project, 'package-lock.json'));
  const { stdout } = spawnSync('cksum', { input, encoding: 'utf8' });
  await writeFile(join(project, 'node_modules', '.rq-node-setup'), stdout);
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function setup(cwd = project): Ended {
  const script = cwd === project ? 'scripts/setup' : join(project, 'scripts/setup');
  const { status, stdout, stderr } = spawnSync(join(commands, 'sh'), [script], {
    cwd,
    env: { PATH: commands, HOME: project },
    encoding: 'utf8',
    timeout: 25_000,
  });
  return { status, stdout, stderr };
}

const recorded = async (): Promise<string[]> => (await readFile(record, 'utf8')).split('\n').slice(0, -1);

const NOTHING: Ended = { status: 0, stdout: '', stderr: '' };

describe('scripts/setup where all is there', () => {
  beforeEach(() => redisServer(REDIS_7));

  it('does nothing and prints nothing', async () => {
    expect(setup()).toEqual(NOTHING);
    expect(await recorded()).toEqual([]);
  });

  it('takes well under a second', () => {
    // the quickest of a few: what else the machine does strikes some of them
    const took = Array.from({ length: 5 }, () => {
      const began = performance.now();
      setup();
      return performance.now() - began;
    });
    expect(Math.min(...took)).toBeLessThan(800);
  });

  it('works from another directory', async () => {
    expect(setup(tmpdir())).toEqual(NOTHING);
    expect(await recorded()).toEqual([]);
  });
});

describe('scripts/setup and the version of Redis', () => {
  it.each([
    ['Redis 7.0', REDIS_7],
    ['Redis 8', 'Redis server v=8.2.1 sha=00000000:1 malloc=libc bits=64 build=0'],
    ['Redis 10', 'Redis server v=10.0.0 sha=00000000:1 malloc=libc bits=64 build=0'],
    ['Valkey 7.2', 'Valkey server v=7.2.5 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0'],
  ])('takes %s', async (_, says) => {
    await redisServer(says);
    expect(setup()).toEqual(NOTHING);
  });

  it.each([
    ['Redis 6', 'Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=0', /6.*7\.0/],
    ['what says no version', 'something else', /7\.0/],
  ])('refuses %s with a message', async (_, says, said) => {
    await redisServer(says);
    const { status, stdout, stderr } = setup();
    expect(stderr).toMatch(said);
    expect(stdout).toBe('');
    expect(status).toBe(1);
    expect(await recorded()).toEqual([]);
  });

  it('refuses a Redis 6 that the package manager installed', async () => {
    await user(0);
    await fake('apt-get', installs('Redis server v=6.0.16 sha=00000000:0'));
    const { status, stderr } = setup();
    expect(stderr).toMatch(/6.*7\.0/);
    expect(status).toBe(1);
  });
});

describe('scripts/setup without faketime', () => {
  it('asks apt-get for it', async () => {
    await user(0);
    await fake('redis-server', `echo '${REDIS_7}'`, false);
    await rm(join(commands, 'faketime'));
    await fake('apt-get', '');
    expect(setup()).toMatchObject({ status: 0, stdout: '' });
    expect((await recorded()).at(-1)).toMatch(/^apt-get install .*-y.* faketime$/);
  });

  it('goes on without it, and says so', async () => {
    await user(0);
    await fake('redis-server', `echo '${REDIS_7}'`, false);
    await rm(join(commands, 'faketime'));
    await fake('apt-get', 'exit 1');
    const { status, stderr } = setup();
    expect(status).toBe(0);
    expect(stderr).toContain('the case that needs it will be skipped');
  });
});

describe('scripts/setup without redis-server', () => {
  it('uses apt-get as root', async () => {
    await user(0);
    await fake('apt-get', installs(REDIS_7));
    await fake('sudo', 'exit 1');
    const { status, stdout } = setup();
    expect(status).toBe(0);
    expect(stdout).toBe('');
    const calls = await recorded();
    expect(calls).toHaveLength(2);
    expect(calls[0]).toMatch(/^apt-get update/);
    expect(calls[1]).toMatch(/^apt-get install .*-y.* redis-server$/);
  });

  it('does not do it again', async () => {
    await user(0);
    await fake('apt-get', installs(REDIS_7));
    setup();
    await writeFile(record, '');
    expect(setup()).toEqual(NOTHING);
    expect(await recorded()).toEqual([]);
  });

  it('uses sudo, which must ask for no password, as another user', async () => {
    await user(1000);
    await fake('apt-get', installs(REDIS_7));
    await fake('sudo', 'test "$1" = -n || exit 1; shift; exec "$@"');
    await fake('true', 'exit 0', false);
    expect(setup().status).toBe(0);
    const calls = await recorded();
    expect(calls.filter(call => call.startsWith('sudo ')).every(call => call.startsWith('sudo -n '))).toBe(
      true,
    );
    expect(calls.some(call => /^apt-get install .*redis-server$/.test(call))).toBe(true);
  });

  it.each([
    ['sudo wants a password', 'exit 1'],
    ['there is no sudo', undefined],
  ])('says what to install and exits with 1 where %s', async (_, sudo) => {
    await user(1000);
    await fake('apt-get', installs(REDIS_7));
    if (sudo !== undefined) await fake('sudo', sudo);
    const { status, stdout, stderr } = setup();
    expect(stderr).toMatch(/install Redis 7\.0 or later/);
    expect(stderr).toContain('redis-server');
    expect(stdout).toBe('');
    expect(status).toBe(1);
    expect((await recorded()).filter(call => call.startsWith('apt-get'))).toEqual([]);
  });

  it('uses brew as whoever it is', async () => {
    await user(501);
    await fake('brew', installs(REDIS_7));
    expect(setup().status).toBe(0);
    expect(await recorded()).toEqual(['brew install redis']);
  });

  it('says what to install and exits with 1 where it knows no package manager', async () => {
    await user(0);
    const { status, stderr } = setup();
    expect(stderr).toMatch(/install Redis 7\.0 or later/);
    expect(status).toBe(1);
  });

  it('fails where the package manager does', async () => {
    await user(0);
    await fake('apt-get', 'echo "E: no network" >&2; exit 100');
    const { status, stderr } = setup();
    expect(stderr).toContain('E: no network');
    expect(status).not.toBe(0);
  });

  it('exits with 1 where the package brought no redis-server', async () => {
    await user(0);
    await fake('apt-get', 'exit 0');
    const { status, stderr } = setup();
    expect(stderr).toMatch(/no redis-server/);
    expect(status).toBe(1);
  });
});

describe('scripts/setup and node_modules', () => {
  beforeEach(() => redisServer(REDIS_7));

  it('runs npm ci where there are none, and says so', async () => {
    await rm(join(project, 'node_modules'), { recursive: true });
    const { status, stdout, stderr } = setup();
    expect(status).toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toContain('npm ci');
    expect(await recorded()).toEqual([expect.stringMatching(/^npm ci\b/)]);
  });

  it('runs npm ci where the lock file is another than they were installed from', async () => {
    await appendFile(join(project, 'package-lock.json'), '\n');
    expect(setup().status).toBe(0);
    expect(await recorded()).toEqual([expect.stringMatching(/^npm ci\b/)]);
  });

  it('runs npm ci where they carry no stamp', async () => {
    await rm(join(project, 'node_modules', '.rq-node-setup'));
    expect(setup().status).toBe(0);
    expect(await recorded()).toEqual([expect.stringMatching(/^npm ci\b/)]);
  });

  it('runs it once: then all is there', async () => {
    await rm(join(project, 'node_modules', '.rq-node-setup'));
    setup();
    await writeFile(record, '');
    expect(setup()).toEqual(NOTHING);
    expect(await recorded()).toEqual([]);
  });

  it('fails where npm ci does, and tries again the next time', async () => {
    await rm(join(project, 'node_modules', '.rq-node-setup'));
    await fake('npm', 'echo "npm error" >&2; exit 7');
    const { status, stderr } = setup();
    expect(stderr).toContain('npm error');
    expect(status).not.toBe(0);
    expect(setup().status).not.toBe(0);
    expect(await recorded()).toHaveLength(2);
  });

  it('says what to install where npm is missing', async () => {
    await rm(join(commands, 'npm'));
    await rm(join(project, 'node_modules', '.rq-node-setup'));
    const { status, stderr } = setup();
    expect(stderr).toMatch(/npm is missing.*Node/);
    expect(status).toBe(1);
  });
});
