/** Status messages: one subscribing connection a process, shared by all who wait. */
import type { Link } from './connection.ts';
import { WAIT_RECHECK_MS } from './defaults.ts';
import { Expected } from './expected.ts';
import type { Keys } from './keys.ts';
import { toProgress, type Progress } from './progress.ts';
import { isObject, type JobStatus } from './record.ts';

/** Milliseconds until channels that nobody listens to any more are left, and the most that are kept till then. */
const DROP_MS = 200;
const DROP_MOST = 16;

/** What a transition publishes on `rq:status:<queue>:<job id>`. */
export interface StatusMessage {
  readonly jobId: string;
  readonly status: JobStatus;
  readonly queue: string;
  /** Name of the worker; '' where none was part of it. */
  readonly worker: string;
  readonly at: Date;
  /** The result, where the job finished and it is not too long to be sent. */
  readonly result?: unknown;
  /** What the job's function said of its progress, or saved as its meta, while it runs. */
  readonly progress?: Progress;
  readonly meta?: Readonly<Record<string, unknown>>;
}

/** Is called with each message, and with `undefined` when messages may have been missed. */
export type StatusListener = (message: StatusMessage | undefined) => void;

/**
 * Messages get lost: while the connection is down, before a subscription is confirmed, and Python's workers and expiry
 * publish none. So a listener must read the state itself after it subscribed, whenever it is called with `undefined`,
 * and now and then.
 */
export class StatusFeed {
  readonly #source: Link;
  readonly #keys: Keys;
  readonly #listeners: Map<string, Set<StatusListener>> = new Map();
  #link: Link | undefined;
  #closed = false;
  #restoring = false;
  #dropping: string[] = [];
  #dropTimer: NodeJS.Timeout | undefined;
  readonly #expected: Expected<StatusMessage | undefined> = new Expected((queue, ids, tell) =>
    this.#listenAll(queue, ids, id => message => tell(id, message)),
  );

  constructor(source: Link, keys: Keys) {
    this.#source = source;
    this.#keys = keys;
  }

  /** The id of the next job of a queue. */
  nextId(queue: string): string {
    return this.#expected.nextId(queue);
  }

  /** A job is about to be enqueued: after it, a quick worker's messages would have come and gone one time in twenty. */
  expect(queue: string, id: string): void {
    this.#expected.expect(queue, id, this.#link?.usable === true);
  }

  /** As `listen`, for who waits for a job that is new; what has come since it was expected is told at once. */
  listenToNew(queue: string, id: string, listener: StatusListener): () => void {
    this.#expected.waited();
    const expected = this.#expected.take(id);
    const channel = this.#keys.statusChannel(queue, id);
    const listeners = this.#listeners.get(channel);
    if (expected === undefined || listeners === undefined) return this.listen(queue, id, listener);
    listeners.add(listener);
    expected.leave();
    for (const message of expected.messages) listener(message);
    return this.#leaver(channel, listeners, listener);
  }

  /** Listens to one job. The listener is called with `undefined` once the subscription stands. */
  listen(queue: string, id: string, listener: StatusListener): () => void {
    const [leave = () => {}] = this.#listenAll(queue, [id], () => listener);
    return leave;
  }

  #listenAll(
    queue: string,
    ids: readonly string[],
    listenerOf: (id: string) => StatusListener,
  ): (() => void)[] {
    const channels = ids.map(id => this.#keys.statusChannel(queue, id));
    const leaves = channels.map((channel, i) => {
      const listener = listenerOf(ids[i] ?? '');
      const listeners = this.#listeners.get(channel) ?? new Set();
      this.#listeners.set(channel, listeners.add(listener));
      return this.#leaver(channel, listeners, listener);
    });
    void this.#subscribe(channels).catch(() => this.#restore());
    return leaves;
  }

  #leaver(channel: string, listeners: Set<StatusListener>, listener: StatusListener): () => void {
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
      this.#listeners.delete(channel);
      this.#leave(channel);
    };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#dropTimer);
    this.#expected.close();
    // who waits looks for itself, and learns that the connection is closed
    for (const channel of this.#listeners.keys()) this.#tell(channel, undefined);
    this.#listeners.clear();
    this.#link?.close();
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    if (this.#closed || channels.length === 0) return;
    const link = (this.#link ??= this.#open());
    await link.ready();
    const wanted = channels.filter(channel => this.#listeners.has(channel));
    if (wanted.length === 0) return;
    await link.redis.subscribe(...wanted);
    for (const channel of wanted) this.#tell(channel, undefined);
  }

  #open(): Link {
    const link = this.#source.duplicate();
    link.redis.on('message', (channel: string, text: string) => this.#tell(channel, parse(text)));
    link.redis.on('close', () => this.#restore());
    return link;
  }

  /** Subscribes anew, for as long as there is somebody to listen. */
  #restore(): void {
    if (this.#restoring || this.#closed || this.#listeners.size === 0) return;
    this.#restoring = true;
    // the waiters' own timers keep the process alive
    setTimeout(() => {
      this.#restoring = false;
      this.#subscribe([...this.#listeners.keys()]).catch(() => this.#restore());
    }, 100).unref();
  }

  /** Channels are left together, now and then: a write for each would cost a waiter as much as its subscription. */
  #leave(channel: string): void {
    const count = this.#dropping.push(channel);
    if (count === 1) this.#dropTimer = setTimeout(() => this.#drop(), DROP_MS).unref();
    else if (count === DROP_MOST) this.#drop();
  }

  #drop(): void {
    clearTimeout(this.#dropTimer);
    const gone = this.#dropping.filter(channel => !this.#listeners.has(channel));
    this.#dropping = [];
    if (gone.length > 0 && this.#link?.usable) this.#link.redis.unsubscribe(...gone).catch(() => {});
  }

  #tell(channel: string, message: StatusMessage | undefined): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener(message);
  }
}

function parse(text: string): StatusMessage | undefined {
  try {
    const { job_id, status, queue, worker, at, ...rest } = JSON.parse(text) as Record<string, unknown>;
    const progress = toProgress(rest['progress']);
    return {
      jobId: String(job_id),
      status: String(status) as JobStatus,
      queue: String(queue),
      worker: String(worker),
      at: new Date(String(at)),
      ...('result' in rest ? { result: rest['result'] } : {}),
      ...(progress === undefined ? {} : { progress }),
      ...(isObject(rest['meta']) ? { meta: rest['meta'] } : {}),
    };
  } catch {
    // somebody else's message: the listener looks for itself
    return undefined;
  }
}

/** A queue of status messages with one reader. */
export class Watch implements Disposable {
  readonly #leave: () => void;
  #messages: (StatusMessage | undefined)[] = [];
  #wake: (() => void) | undefined;

  constructor(listen: (tell: StatusListener) => () => void) {
    this.#leave = listen(message => {
      this.#messages.push(message);
      this.#wake?.();
    });
  }

  /** The next message; `undefined` where messages may be missing, where none came for a while, or when `ms` are over. */
  async next(ms: number, signal?: AbortSignal): Promise<StatusMessage | undefined> {
    if (this.#messages.length === 0 && signal?.aborted !== true) {
      await new Promise<void>(resolve => {
        // not unref'd: who waits for a job keeps the process alive
        const wake = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const timer = setTimeout(wake, Math.max(0, Math.min(ms, WAIT_RECHECK_MS)));
        this.#wake = wake;
        signal?.addEventListener('abort', wake);
      });
      this.#wake = undefined;
    }
    return this.#messages.shift();
  }

  [Symbol.dispose](): void {
    this.#leave();
  }
}
