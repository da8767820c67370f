/** Commands to a worker, on its pub/sub channel: RQ's `shutdown`, `stop-job` and `kill-horse`, and our `drop-execution`. */
import type { Link } from '../connection.ts';
import { REPLY_MS } from '../defaults.ts';
import { escapeControls, quote } from '../options.ts';
import { isObject } from '../record.ts';

export interface CommandHandlers {
  readonly shutdown: () => void;
  readonly stopJob: (jobId: string) => void;
  /** What runs now is to end. */
  readonly stopAll: () => void;
  /** A run is not the job's any more: the job was canceled or deleted. */
  readonly dropExecution: (executionId: string) => void;
  /** After a loss of the connection: what was sent meanwhile was not heard. */
  readonly missed: () => void;
  readonly warn: (text: string) => void;
}

/** Listens for as long as the worker lives, and again after each loss of its connection. */
export class Commands {
  readonly #link: Link;
  readonly #channel: string;
  readonly #handlers: CommandHandlers;
  #pings: NodeJS.Timeout | undefined;
  #subscribed = false;

  constructor(link: Link, channel: string, handlers: CommandHandlers) {
    this.#link = link;
    this.#channel = channel;
    this.#handlers = handlers;
    link.redis
      .on('message', (_: string, text: string) => this.#handle(text))
      .on('ready', () => void this.#subscribe());
  }

  async start(): Promise<void> {
    await this.#link.ready();
    // nothing else is sent here, so nothing else would show that the link is dead
    this.#pings = setInterval(() => {
      if (this.#link.usable) void this.#link.within(REPLY_MS, redis => redis.ping()).catch(() => {});
    }, REPLY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#pings);
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#link.redis.subscribe(this.#channel);
      if (this.#subscribed) this.#handlers.missed();
      this.#subscribed = true;
    } catch (error) {
      if (this.#link.usable) this.#handlers.warn(`No commands can be received: ${String(error)}`);
    }
  }

  #handle(text: string): void {
    let payload: unknown;
    try {
      payload = JSON.parse(text);
    } catch {
      return this.#handlers.warn(`A command that is not JSON was ignored: ${quote(text)}`);
    }
    const {
      command,
      job_id: jobId,
      execution_id: executionId,
    } = (isObject(payload) ? payload : {}) as Readonly<Record<string, unknown>>;
    if (command === 'shutdown') this.#handlers.shutdown();
    else if (command === 'kill-horse') this.#handlers.stopAll();
    else if (command === 'stop-job' && typeof jobId === 'string') this.#handlers.stopJob(jobId);
    else if (command === 'drop-execution' && typeof executionId === 'string')
      this.#handlers.dropExecution(executionId);
    else this.#handlers.warn(`An unknown command was ignored: ${escapeControls(text).slice(0, 200)}`);
  }
}
