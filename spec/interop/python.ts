/** Real Python RQ, of each version that set-up installed: a Python process that runs what a spec hands it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The versions to run against, the current one first. */
export const VERSIONS: readonly string[] = readFileSync(`${HERE}versions.txt`, 'utf8')
  .split('\n')
  .map(line => line.replace(/#.*/, '').trim())
  .filter(line => line !== '');

/** Why specs against a version can't run here; `undefined` where they can. With `CI=true` they must. */
export function missing(version: string): string | undefined {
  if (existsSync(`${binOf(version)}rq`)) return undefined;
  const why = `Python RQ ${version} is not installed (scripts/setup installs it where there is a Python 3)`;
  if (process.env['CI'] === 'true') throw new Error(why);
  return why;
}

function binOf(version: string): string {
  return `${ROOT}.venv/rq-${version}/bin/`;
}

/** Functions that Python workers run are in `tasks.py` beside this file. */
const ENV = { ...process.env, PYTHONPATH: HERE, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' };

/**
 * A Python process with RQ at hand. `run` executes statements in a namespace that lasts (`c` is the connection, and
 * everything of `rq` that specs use is imported); what they assign to `out` comes back as JSON.
 */
export class Python {
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];

  constructor(version: string, port: number) {
    this.version = version;
    const args = [`${HERE}driver.py`, String(port)];
    this.#child = spawn(`${binOf(version)}python`, args, { stdio: ['pipe', 'pipe', 'inherit'], env: ENV });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines.on('line', line => this.#waiting.shift()?.(line));
  }

  /** Runs statements; answers what they assigned to `out`. A Python exception rejects with its traceback. */
  async run<T = unknown>(code: string, values: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const answer = new Promise<string>(resolve => this.#waiting.push(resolve));
    this.#child.stdin?.write(`${JSON.stringify({ code, values })}\n`);
    const { error, out } = JSON.parse(await answer) as { readonly error?: string; readonly out?: T };
    if (error !== undefined) throw new Error(error);
    return out as T;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
    this.#lines.close();
  }
}

/** `rq worker` as a process of its own, on a pseudo-terminal where that is asked for, with its output collected. */
export class PythonWorker {
  readonly child: ChildProcess;
  out = '';
  readonly #ended: Promise<number | null>;

  constructor(
    version: string,
    port: number,
    args: readonly string[],
    { terminal = false }: { readonly terminal?: boolean } = {},
  ) {
    const words = ['worker', '--serializer', 'json', '--url', `redis://127.0.0.1:${port}`, ...args];
    const command = `${binOf(version)}rq`;
    // util-linux' script gives it a terminal of its own
    const [program, all] = terminal
      ? ['script', ['-qefc', [command, ...words].join(' '), '/dev/null']]
      : ([command, words] as const);
    this.child = spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'], env: ENV });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    }
    this.#ended = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** Its exit code, once it has ended by itself. */
  exit(): Promise<number | null> {
    return this.#ended;
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.#ended;
  }
}

/** Runs `rq` with these arguments; answers its output and exit code. */
export async function rq(
  version: string,
  port: number,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly out: string }> {
  const child = spawn(`${binOf(version)}rq`, [...args, '--url', `redis://127.0.0.1:${port}`], { env: ENV });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out };
}
