/** Connections to Redis: what is handed in, opened, duplicated and closed, and how long a caller waits for one. */
import { Redis, type RedisOptions } from 'ioredis';
import { DEADLINE_MS, REDIS_URL } from './defaults.ts';
import { ConnectionError } from './errors.ts';
import { quote } from './options.ts';
import { refusalOf, saidBy, withoutCommand } from './refusal.ts';

/** An ioredis client, a `redis://` or `rediss://` URL, or ioredis' own options. */
export type ConnectionOption = Redis | RedisOptions | string;

/**
 * What every connection that we open is made with. A command in flight when the link breaks is rejected at once, and
 * never sent again by the client: who sent it knows whether it may be repeated.
 */
const OWN = {
  lazyConnect: true,
  protocol: 2,
  replyMapping: 'legacy',
  stringNumbers: false,
  enableAutoPipelining: false,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  reconnectOnError: null,
  connectTimeout: DEADLINE_MS,
  // a peer that is gone without a word is noticed
  keepAlive: 10_000,
} satisfies RedisOptions;

export interface LinkOptions {
  /** Goes on trying for as long as it takes, as a worker does; else only while somebody waits. */
  readonly persistent?: boolean;
  /** Milliseconds that `ready()` waits. */
  readonly deadlineMs?: number;
}

/** The clients that are ours, with the links that see to them. */
const LINKS: WeakMap<Redis, Link> = new WeakMap();

/** One connection, ours or handed in. */
export class Link {
  readonly redis: Redis;
  /** Host and port, or the socket's path: never a password. */
  readonly address: string;
  readonly deadlineMs: number;
  readonly #owned: boolean;
  /** Where a client of ours was handed in: who opens it and opens it anew. */
  readonly #lender: Link | undefined;
  readonly #persistent: boolean;
  #closed = false;
  #connecting: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  /** The last thing that went wrong with it. */
  lastError: Error | undefined;

  private constructor(
    redis: Redis,
    owned: boolean,
    { persistent = false, deadlineMs = DEADLINE_MS }: LinkOptions,
  ) {
    this.redis = redis;
    this.#owned = owned;
    this.#persistent = persistent;
    this.deadlineMs = deadlineMs;
    this.address = addressOf(redis.options);
    this.#lender = owned ? undefined : LINKS.get(redis);
    if (!owned) return;
    LINKS.set(redis, this);
    redis.options.retryStrategy = attempt => this.#retryDelay(attempt);
    redis.on('error', error => {
      // the client would go on in the database 0
      if (isOfSelect(error)) this.reconnect();
      this.#failed(error);
    });
    // the client drops an answer that comes before it asked anything
    redis.on('connect', () => {
      redis.stream.once('data', (chunk: Buffer | string) => {
        const [, said] = /^-(ERR max number of clients.*)/.exec(String(chunk)) ?? [];
        if (said !== undefined) this.#failed(Object.assign(new Error(said), { name: 'ReplyError' }));
      });
    });
    // a peer that takes the connection and says nothing: the client waits for its first replies without end
    let silent: NodeJS.Timeout | undefined;
    redis
      .on('connect', () => (silent = setTimeout(() => this.reconnect(), this.deadlineMs).unref()))
      .on('ready', () => clearTimeout(silent))
      .on('close', () => clearTimeout(silent));
    // an idle connection keeps no script from ending: what is under way holds a timer of its own
    if (!persistent) redis.on('connect', () => redis.stream.unref());
  }

  /** The caller's own client as it is, or a connection of ours to where the option says. */
  static to(connection: ConnectionOption | undefined, options: LinkOptions = {}): Link {
    if (isClient(connection)) return new Link(connection, false, options);
    return Link.own(connection, options);
  }

  /** A connection of ours; for a client that was handed in, to the same place and with the same credentials. */
  static own(connection: ConnectionOption | undefined, options: LinkOptions = {}): Link {
    if (isClient(connection)) return new Link(connection.duplicate(OWN), true, options);
    const given = connection === undefined ? (process.env['RQ_REDIS_URL'] ?? REDIS_URL) : connection;
    if (typeof given === 'string') return new Link(new Redis(checkUrl(given), OWN), true, options);
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw new TypeError(
        `connection must be an ioredis client, a URL or ioredis options, not ${quote(given)}`,
      );
    }
    if (given.keyPrefix) throw new TypeError(KEY_PREFIX);
    return new Link(new Redis({ ...given, ...OWN }), true, options);
  }

  /** Another connection of ours to the same place. */
  duplicate(options: LinkOptions = {}): Link {
    return new Link(this.redis.duplicate(OWN), true, { deadlineMs: this.deadlineMs, ...options });
  }

  /** Which Redis and database this is, as far as its options tell: the names of this machine are one. */
  get place(): string {
    return `${this.address.replace(/^(localhost|::1|0\.0\.0\.0):/, '127.0.0.1:')}/${this.redis.options.db ?? 0}`;
  }

  /** Whether the client may send a call a second time by itself, as a caller's own does by default. */
  get resends(): boolean {
    return !this.#owned && this.#lender === undefined;
  }

  get usable(): boolean {
    // a link that broke this moment says that it is ready until its end is told
    return !this.#closed && this.redis.status === 'ready' && this.redis.stream.writable;
  }

  /**
   * Callers who wait at the same time share one attempt and its deadline.
   * @throws {ConnectionError} when there is no connection within the deadline, or the link was closed.
   */
  async ready(): Promise<void> {
    if (this.usable) return;
    if (this.#closed) throw this.#unreachable();
    if (this.#lender !== undefined) return this.#lender.ready();
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    await this.#connecting;
  }

  /** Whether Redis refused the last attempt, for something that does not pass: a wrong password. */
  get #turnedAway(): boolean {
    return refusalOf(this.lastError)?.passes === false;
  }

  async #connect(): Promise<void> {
    const { redis } = this;
    this.lastError = undefined;
    const began = performance.now();
    const turn = (): void => this.#wake?.();
    // the timer is not unref'd: it is what keeps a script alive while it waits
    const timer = setTimeout(turn, this.deadlineMs);
    redis.on('ready', turn).on('end', turn);
    // where nobody waited, the pause between two attempts was cut short and none follows
    if (!this.#persistent && redis.status === 'reconnecting') this.#start();
    try {
      while (!this.usable) {
        if (this.#closed || (redis.status === 'end' && !this.#owned)) throw this.#unreachable();
        if (performance.now() - began >= this.deadlineMs - 1) throw this.#unreachable();
        if (this.#turnedAway) throw this.#unreachable();
        const changed = new Promise<void>(resolve => (this.#wake = resolve));
        if (redis.status === 'wait' || redis.status === 'end') this.#start();
        await changed;
      }
    } finally {
      clearTimeout(timer);
      redis.off('ready', turn).off('end', turn);
      // nobody waits any more: an attempt still under way would keep a script from ending
      if (this.#owned && !this.#persistent && !this.usable) redis.disconnect();
    }
  }

  /** Drops a link that is suspected dead; a persistent one connects anew. A caller's own client is left alone. */
  reconnect(): void {
    this.#lender?.reconnect();
    // once, however many calls are late at the same time: each time adds a listener to the stream
    if (this.#owned && isWritable(this.redis)) this.redis.disconnect(true);
  }

  /** A call over this link that drops it where no reply comes in time: the call is rejected then. */
  async within<T>(ms: number, call: (redis: Redis) => Promise<T>): Promise<T> {
    const late = setTimeout(() => this.reconnect(), ms);
    try {
      return await call(this.redis);
    } finally {
      clearTimeout(late);
    }
  }

  /** Closes what is ours; safe twice, and before there was a connection. */
  close(): void {
    this.#closed = true;
    if (this.#owned) this.redis.disconnect();
    // between two attempts the client says nothing of its end
    this.#wake?.();
  }

  #start(): void {
    this.redis.connect().catch((error: unknown) => {
      if (error instanceof Error) this.lastError ??= withoutCommand(error);
    });
  }

  /** What Redis said counts for more than that the link broke after it. */
  #failed(error: Error): void {
    if (refusalOf(this.lastError) === undefined || refusalOf(error) !== undefined)
      this.lastError = withoutCommand(error);
    this.#wake?.();
  }

  #retryDelay(attempt: number): number | null {
    if (this.#closed || (!this.#persistent && this.#connecting === undefined)) return null;
    const most = Math.min(5_000, 50 * 2 ** Math.min(attempt - 1, 7));
    return most / 2 + (Math.random() * most) / 2;
  }

  #unreachable(): ConnectionError {
    const cause = this.lastError;
    const why = cause === undefined ? '' : `: ${cause.message === '' ? cause.name : saidBy(cause)}`;
    const options = cause === undefined ? undefined : { cause };
    if (this.#closed || this.redis.status === 'end') {
      return new ConnectionError(`The connection to Redis at ${this.address} is closed${why}`, options);
    }
    if (this.#turnedAway) {
      return new ConnectionError(
        `Redis at ${this.address} refused the connection; nothing was sent${why}`,
        options,
      );
    }
    return new ConnectionError(
      `No connection to Redis at ${this.address} within ${this.deadlineMs} ms; nothing was sent${why}`,
      options,
    );
  }
}

/** A client has no stream before it first connects. */
function isWritable({ stream }: { readonly stream?: Redis['stream'] }): boolean {
  return stream?.writable === true;
}

/** Whether Redis refused to go to the database that the options name. */
function isOfSelect(error: Error & { readonly command?: { readonly name?: string } }): boolean {
  return error.name === 'ReplyError' && error.command?.name === 'select';
}

const KEY_PREFIX =
  "A Redis client with keyPrefix can't be used: it would prefix some keys and not others. Use the queue's own prefix option";

function isClient(connection: unknown): connection is Redis {
  if (typeof connection !== 'object' || connection === null) return false;
  if ('isCluster' in connection && connection.isCluster === true) {
    throw new TypeError(
      "A Redis Cluster client can't be used: RQ's lists and registries do not share a hash slot. Use one Redis, or Sentinel",
    );
  }
  if (!('duplicate' in connection && 'options' in connection && 'status' in connection)) return false;
  const { options } = connection as { readonly options?: { readonly keyPrefix?: unknown } };
  if (options?.keyPrefix) throw new TypeError(KEY_PREFIX);
  return true;
}

function checkUrl(text: string): string {
  const form = 'redis://[user:password@]host[:port][/database], rediss://… or unix:///path';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // the text itself is not quoted: it may hold a password
    throw new TypeError(`The Redis URL can't be read: ${form} is accepted`);
  }
  for (const option of url.searchParams.keys()) {
    if (option !== 'family')
      throw new TypeError(`A Redis URL can't set ${quote(option)}: use connection: { … } for options`);
  }
  if (url.protocol === 'unix:') return decodeURIComponent(url.pathname);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    throw new TypeError(`A Redis URL can't begin with ${quote(url.protocol)}: ${form} is accepted`);
  }
  if (!/^\/?\d*$/.test(url.pathname)) {
    // nor is the path: a password with an unescaped slash in it ends up there
    throw new TypeError(`The path of a Redis URL must be the number of a database: ${form} is accepted`);
  }
  return text;
}

function addressOf(options: RedisOptions): string {
  if (options.sentinels) {
    const hosts = options.sentinels.map(({ host, port }) => `${host ?? '127.0.0.1'}:${port ?? 26379}`);
    return `${options.name ?? 'master'} (Sentinel ${hosts.join(', ')})`;
  }
  return options.path ?? `${options.host ?? '127.0.0.1'}:${options.port ?? 6379}`;
}
