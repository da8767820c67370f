/** Real `rq-worker` processes, as they were built. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The built program. */
export const PROGRAM: string = fileURLToPath(new URL('../../dist/bin/rq-worker.js', import.meta.url));
/** The functions that spec jobs call. */
export const TASKS: string = fileURLToPath(new URL('./tasks.js', import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class WorkerProcess {
  readonly child: ChildProcess;
  out = '';
  err = '';
  readonly #exit: Promise<Exit>;
  /** It has ended, and all that it said is here. */
  #closed = false;
  #changed: (() => void)[] = [];

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.out += chunk.toString();
      this.#tell();
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.err += chunk.toString();
      this.#tell();
    });
    this.#exit = once(this.child, 'close').then(([code, signal]) => {
      this.#closed = true;
      this.#tell();
      return { code, signal };
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get all(): string {
    return this.out + this.err;
  }

  /** Resolves once standard output or standard error holds this; rejects if the process ends before. */
  async said(what: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = what.exec(this.all);
      if (found !== null) return found;
      if (this.#closed) {
        throw new Error(`rq-worker ended without saying ${String(what)}:\n${this.all}`);
      }
      await new Promise<void>(resolve => this.#changed.push(resolve));
    }
  }

  /** Resolves once the worker takes jobs. */
  async listening(): Promise<this> {
    await this.said(/\*\*\* Listening on/);
    return this;
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.#exit;
  }

  /** How it ended. */
  exit(): Promise<Exit> {
    return this.#exit;
  }

  #tell(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }
}

/** Starts `rq-worker` with the spec tasks; further arguments follow. */
export function startWorker(
  url: string,
  queues: readonly string[] = ['default'],
  ...args: readonly string[]
): WorkerProcess {
  return new WorkerProcess([...queues, '--url', url, '--functions', TASKS, ...args]);
}
