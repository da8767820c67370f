/** How far a job is, as its function says: checked, sent now and then, and read again. */
import { PROGRESS_FLUSH_MS, PROGRESS_MS, PROGRESS_TEXT } from './defaults.ts';
import { quote } from './options.ts';
import { isObject } from './record.ts';

export interface Progress {
  /** From 0 to 1. */
  readonly value: number;
  readonly text?: string;
  readonly at: Date;
}

/** What a field or a message holds; `undefined` for what is no progress: it decides nothing. */
export function toProgress(from: unknown): Progress | undefined {
  if (!isObject(from)) return undefined;
  const { value, text, at } = from;
  if (typeof value !== 'number') return undefined;
  return { value, ...(typeof text === 'string' ? { text } : {}), at: new Date(String(at)) };
}

export function parseProgress(json: string | undefined): Progress | undefined {
  if (json === undefined) return undefined;
  try {
    return toProgress(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/** Reports the progress of one run: at most four times a second, and the last word of it always. */
export class Reporter {
  readonly #send: (json: string) => Promise<unknown>;
  readonly #failed: (error: unknown) => void;
  #last: Progress | undefined;
  /** What is still to be sent. */
  #next: string | undefined;
  #sending: Promise<void> | undefined;
  #sentAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  /** `send` gets JSON; `failed` is told of the first time that it could not. */
  constructor(send: (json: string) => Promise<unknown>, failed: (error: unknown) => void) {
    this.#send = send;
    this.#failed = failed;
  }

  get last(): Progress | undefined {
    return this.#last;
  }

  /** @throws {RangeError | TypeError} for what is none. */
  report(value: number, text?: string): void {
    if (typeof value !== 'number' || !(value >= 0 && value <= 1))
      throw new RangeError(`progress must be a number from 0 to 1, not ${quote(value)}`);
    if (text !== undefined && typeof text !== 'string')
      throw new TypeError(`The text of progress must be a text, not ${quote(text)}`);
    if (this.#over) return;
    const said =
      text === undefined ? { value } : { value, text: text.slice(0, PROGRESS_TEXT).toWellFormed() };
    this.#last = { ...said, at: new Date() };
    this.#next = JSON.stringify(said);
    this.#arm();
  }

  /** Sends what is left, for a moment at most; `undefined` where that is nothing. What is reported later is dropped. */
  flush(): Promise<void> | undefined {
    this.#over = true;
    clearTimeout(this.#timer);
    if (this.#sending === undefined && this.#next === undefined) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>(resolve => (timer = setTimeout(resolve, PROGRESS_FLUSH_MS)));
    const sent = (async () => {
      await this.#sending;
      await this.#sendNext();
    })();
    return Promise.race([sent, late]).finally(() => clearTimeout(timer));
  }

  /** Sends no more. */
  drop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#next = undefined;
  }

  #arm(): void {
    if (this.#over || this.#next === undefined || this.#sending !== undefined || this.#timer !== undefined)
      return;
    const wait = this.#sentAt + PROGRESS_MS - performance.now();
    if (wait <= 0) void this.#sendNext();
    else
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        void this.#sendNext();
      }, wait);
  }

  #sendNext(): Promise<void> {
    const json = this.#next;
    if (json === undefined) return Promise.resolve();
    this.#next = undefined;
    this.#sentAt = performance.now();
    this.#sending = this.#send(json)
      .then(() => {}, this.#failed)
      .finally(() => {
        this.#sending = undefined;
        this.#arm();
      });
    return this.#sending;
  }
}
