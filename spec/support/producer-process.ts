/** Producers in processes of their own, which do what they are told, one call beside the other. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('./producer.js', import.meta.url));

export type Verb = 'enqueue' | 'unique' | 'cancel' | 'delete' | 'requeue' | 'stop';

export class ProducerProcess {
  readonly #child: ChildProcess;
  readonly #waiting: Map<string, (said: string) => void> = new Map();
  /** Resolves when it is connected. */
  readonly ready: Promise<void>;
  #calls = 0;

  constructor(url: string, ledger: string) {
    this.#child = spawn(process.execPath, [PROGRAM, url, ledger], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.ready = new Promise(resolve => this.#waiting.set('ready', () => resolve()));
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', line => {
      const [n = '', said = ''] = line.split(' ');
      this.#waiting.get(n)?.(said);
      this.#waiting.delete(n);
    });
  }

  /** `ok`, `gone` for a job that is not there, or the code of the error. */
  call(verb: Verb, id: string): Promise<string> {
    const n = String(this.#calls++);
    return new Promise(resolve => {
      this.#waiting.set(n, resolve);
      this.#child.stdin?.write(`${n} ${verb} ${id}\n`);
    });
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}
