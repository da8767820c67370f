/** The program `rq`, as it was built: run to its end, with signals, or on a terminal of its own. */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { expect, vi } from 'vitest';

export const RQ: string = fileURLToPath(new URL('../../dist/bin/rq.js', import.meta.url));

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A run of `rq` that signals may be sent to. */
export class RqProcess {
  readonly child: ChildProcess;
  out = '';
  err = '';
  readonly #ended: Promise<Said>;

  constructor(url: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [RQ, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, RQ_REDIS_URL: url, ...env },
    });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.err += chunk.toString()));
    this.#ended = once(this.child, 'close').then(([code]) => ({
      code: code as number | null,
      out: this.out,
      err: this.err,
    }));
  }

  end(): Promise<Said> {
    return this.#ended;
  }
}

/** Runs `rq` to its end. */
export function rq(url: string, ...args: readonly string[]): Promise<Said> {
  return new RqProcess(url, args).end();
}

/** What a listing says as JSON. */
export async function rqJson<T>(url: string, ...args: readonly string[]): Promise<T> {
  const { code, out, err } = await rq(url, ...args, '--json');
  if (err !== '') throw new Error(`rq ${args.join(' ')} ended with ${String(code)}:\n${err}`);
  return JSON.parse(out) as T;
}

/** What a run that is refused looks like: one line on standard error, without a stack. */
export function complaint(what: RegExp, code: number): Said {
  const line = new RegExp(`^rq: (?=[^\n]*(?:${what.source}))[^\n]*\n$`);
  return { code, out: '', err: expect.stringMatching(line) as string };
}

/** `rq` on a pseudo-terminal that util-linux' `script` makes. */
export class Terminal {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<number | null>;
  out = '';

  private constructor(folder: string, command: string, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    // the runner's own wishes
    const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...own } = process.env;
    this.#child = spawn('script', ['-qefc', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...own, TERM: 'xterm', ...env },
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.#child.stdin?.on('error', () => {});
    this.#ended = once(this.#child, 'close').then(([code]) => code as number | null);
  }

  static async open(
    url: string,
    args: readonly string[],
    { rows = 30, columns = 100, env = {} }: TerminalOptions = {},
  ): Promise<Terminal> {
    const folder = await mkdtemp(join(tmpdir(), 'rq-node-terminal-'));
    const words = [process.execPath, RQ, ...args].map(word => `'${word}'`).join(' ');
    const command = `tty > '${folder}/tty'; stty rows ${rows} cols ${columns}; exec ${words}`;
    return new Terminal(folder, command, { RQ_REDIS_URL: url, ...env });
  }

  /** The last screen that was drawn to its end. */
  get frame(): string {
    const last = [...this.out.matchAll(/\x1b\[H([^]*?)\x1b\[J/g)].at(-1)?.[1] ?? '';
    return stripVTControlCharacters(last);
  }

  async said(what: RegExp): Promise<void> {
    await vi.waitFor(() => assert.match(this.out, what), { timeout: 15_000, interval: 20 });
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  async resize(rows: number, columns: number): Promise<void> {
    const tty = (await readFile(join(this.#folder, 'tty'), 'utf8')).trim();
    await promisify(execFile)('stty', ['-F', tty, 'rows', String(rows), 'cols', String(columns)]);
  }

  /** Its exit code, once it ended by itself. */
  async end(): Promise<number | null> {
    const code = await this.#ended;
    await rm(this.#folder, { recursive: true, force: true });
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.end();
  }
}

interface TerminalOptions {
  readonly rows?: number;
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** What would steer a terminal, or turn a text around. */
export const NASTY = 'a\x1b[31mred\x1b]0;title\x07\r\n\x9b2J\u202e\u061c\u2028\ufeffb';
export const STEERS = /(?!\n)\p{Cc}|\p{Cf}|\u2028/u;
