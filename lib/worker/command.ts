/** Commands to a worker, on its pub/sub channel: RQ's `shutdown`, `stop-job` and `kill-horse`. */
import type { Link } from '../connection.ts';
import { escapeControls, quote } from '../options.ts';

export interface CommandHandlers {
  readonly shutdown: () => void;
  /** One job's run is to end; '' for every run. */
  readonly stopJob: (jobId: string) => void;
  readonly warn: (text: string) => void;
}

/** Listens for as long as the worker lives, and again after each loss of its connection. */
export class Commands {
  readonly #link: Link;
  readonly #channel: string;
  readonly #handlers: CommandHandlers;

  constructor(link: Link, channel: string, handlers: CommandHandlers) {
    this.#link = link;
    this.#channel = channel;
    this.#handlers = handlers;
    link.redis
      .on('message', (_: string, text: string) => this.#handle(text))
      .on('ready', () => void this.#subscribe());
  }

  close(): void {
    this.#link.close();
  }

  async start(): Promise<void> {
    await this.#link.ready();
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#link.redis.subscribe(this.#channel);
    } catch (error) {
      if (this.#link.usable) this.#handlers.warn(`No commands can be received: ${String(error)}`);
    }
  }

  #handle(text: string): void {
    let command: unknown;
    let jobId: unknown;
    try {
      ({ command, job_id: jobId } = JSON.parse(text) as { command?: unknown; job_id?: unknown });
    } catch {
      return this.#handlers.warn(`A command that is not JSON was ignored: ${quote(text)}`);
    }
    if (command === 'shutdown') this.#handlers.shutdown();
    else if (command === 'kill-horse') this.#handlers.stopJob('');
    else if (command === 'stop-job' && typeof jobId === 'string') this.#handlers.stopJob(jobId);
    else this.#handlers.warn(`An unknown command was ignored: ${escapeControls(text).slice(0, 200)}`);
  }
}
