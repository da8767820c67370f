/** How an idle worker waits: one blocking read a queue, each over a connection of its own. */
import type { Link } from '../connection.ts';
import { BLOCK } from '../defaults.ts';
import { ConnectionError } from '../errors.ts';
import { refusalOf } from '../refusal.ts';
import type { WorkerStore } from '../worker-store.ts';

/** Milliseconds beyond a blocking read's own limit after which its link counts as dead. */
const LATE_MS = 5_000;
/** Milliseconds to the next look at a queue that Redis does not let the worker wait for. */
const REFUSED_MS = 1_000;

interface Wait {
  readonly link: Link;
  /** The connection's id at Redis, by which another one can end its read. */
  clientId: number | undefined;
  /** Set while a read is under way; resolves when it is over. */
  reading: Promise<void> | undefined;
}

/**
 * A read moves an id from a queue's list to this worker's claims: with `BLPOP` a lost reply would lose the job. It is
 * armed only while the worker may take a job, and ends when an id was taken; `arm` starts it again.
 */
export class Waits {
  readonly #store: WorkerStore;
  readonly #commands: Link;
  readonly #waits: readonly Wait[];
  readonly #onTaken: (queue: number) => void;
  readonly #mayWait: () => boolean;
  readonly #onFailed: (queue: number, error: Error) => void;
  #armed = false;
  /** A read that was being ended may have taken an id. */
  #taken = false;

  /**
   * `onTaken` is called with a queue's place when its claims may hold an id, and when its read has ended. `mayWait` is asked
   * before each read: whether the worker is surely registered, and for longer than a read lasts. `onFailed` is told
   * of a connection that can't be made although others stand.
   */
  constructor(
    store: WorkerStore,
    commands: Link,
    onTaken: (queue: number) => void,
    mayWait: () => boolean = () => true,
    onFailed: (queue: number, error: Error) => void = () => {},
  ) {
    this.#mayWait = mayWait;
    this.#onFailed = onFailed;
    this.#store = store;
    this.#commands = commands;
    this.#onTaken = onTaken;
    this.#waits = store.queues.map(() => ({
      link: commands.duplicate({ persistent: true }),
      clientId: undefined,
      reading: undefined,
    }));
    for (const wait of this.#waits) {
      wait.link.redis.on('error', () => {}).on('close', () => (wait.clientId = undefined));
    }
  }

  /** Whether a read is under way that could take a job. */
  get armed(): boolean {
    return this.#waits.some(({ reading }) => reading !== undefined);
  }

  /** Starts the reads that are not under way, but those of the queues at the places of `except`. */
  arm(except: ReadonlySet<number> = new Set()): void {
    this.#armed = true;
    this.#waits.forEach((wait, place) => {
      if (wait.reading !== undefined || except.has(place)) return;
      wait.reading = this.#read(wait, place).finally(() => (wait.reading = undefined));
    });
  }

  /** Ends all reads. Answers whether one of them may still have taken an id. */
  async disarm(): Promise<boolean> {
    this.#armed = false;
    this.#taken = false;
    await Promise.all(this.#waits.map(wait => this.#end(wait)));
    return this.#taken;
  }

  close(): void {
    this.#armed = false;
    for (const { link } of this.#waits) link.close();
  }

  async #read(wait: Wait, queue: number): Promise<void> {
    const { link } = wait;
    // less than a registration lasts, so that no read outlives it
    const seconds = Math.min(BLOCK, this.#store.ttl / 4);
    const keys = [this.#store.listKey(queue), this.#store.claimsKey(queue)] as const;
    while (this.#armed) {
      if (!this.#mayWait()) break;
      let late: NodeJS.Timeout | undefined;
      try {
        if (!link.usable) await link.ready();
        wait.clientId ??= await link.within(LATE_MS, redis => redis.client('ID'));
        if (!this.#armed) return;
        late = setTimeout(() => link.reconnect(), BLOCK * 1000 + LATE_MS);
        const id = await link.redis.blmove(...keys, 'LEFT', 'RIGHT', seconds);
        if (id === null) continue;
      } catch (error) {
        // where the link broke, an id may have been taken
        const refused = error instanceof Error && error.name === 'ReplyError';
        // what we asked for
        if (refused && !this.#armed && error.message.startsWith('UNBLOCKED')) return;
        // without our asking, Redis says so to all when it becomes a replica: the one to wait at may be another now
        if (refusalOf(error)?.moved === true) link.reconnect();
        if (error instanceof ConnectionError && this.#commands.usable && this.#armed)
          this.#onFailed(queue, error);
        if (this.#armed && refusalOf(error)?.name === 'NOPERM') this.#onFailed(queue, error as Error);
        // a key of the wrong type, or no memory left for BLMOVE: then the worker looks once a second instead
        if (refused && this.#armed) await pause(REFUSED_MS);
      } finally {
        clearTimeout(late);
      }
      if (this.#armed) this.#onTaken(queue);
      else this.#taken = true;
      return;
    }
    if (this.#armed) this.#onTaken(queue);
  }

  async #end(wait: Wait): Promise<void> {
    // a read that has not reached Redis yet can't be ended: asked again until it is over
    for (let ms = 1; wait.reading !== undefined; ms = Math.min(ms * 2, 100)) {
      if (wait.clientId !== undefined && wait.link.usable && this.#commands.usable) {
        await this.#commands.redis.client('UNBLOCK', wait.clientId, 'ERROR').catch(() => 0);
      } else if (!this.#commands.usable) wait.link.reconnect();
      await Promise.race([wait.reading, pause(ms)]);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
