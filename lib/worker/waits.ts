/** How an idle worker waits: one blocking read a queue, each over a connection of its own. */
import type { Redis } from 'ioredis';
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

export interface WaitHooks {
  /**
   * Sends the call that claims what the read of the queue at this place takes. It follows the read on its connection, so that
   * Redis runs it in the moment in which the read ends: a job is on its way without a round trip in between. Answers what is
   * to be done with its reply, which is done once no read of the queue is under way; it does nothing where it brought nothing.
   * Sends nothing, and answers `undefined`, where there might be no slot for the job then.
   */
  readonly claim: (redis: Redis, place: number) => Promise<() => void> | undefined;
  /** A queue's claims may hold an id that was not claimed; its read has ended. */
  readonly taken: (place: number) => void;
  /** A claim failed, or its reply was lost: it may have started a run all the same. */
  readonly lost: () => void;
  /** Asked before each read: whether the worker is surely registered, and for longer than a read lasts. */
  readonly mayWait: () => boolean;
  /** Is told of a connection that can't be made although others stand. */
  readonly failed: (place: number, error: Error) => void;
}

/**
 * A read moves an id from a queue's list to this worker's claims: with `BLPOP` a lost reply would lose the job. It is
 * armed only while the worker may take a job, and ends when an id was taken; `arm` starts it again.
 */
export class Waits {
  readonly #store: WorkerStore;
  readonly #commands: Link;
  readonly #waits: readonly Wait[];
  readonly #hooks: WaitHooks;
  #armed = false;
  /** A read that was being ended may have taken an id. */
  #taken = false;

  constructor(store: WorkerStore, commands: Link, hooks: WaitHooks) {
    this.#store = store;
    this.#commands = commands;
    this.#hooks = hooks;
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
      wait.reading = this.#read(wait, place).then(over => {
        wait.reading = undefined;
        over();
      });
    });
  }

  /** Ends all reads, whose claims have brought what they bring then. Answers whether an id may be left among the claims. */
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

  /** Reads until an id was taken, or no more may be. Answers what is to be done then. */
  async #read(wait: Wait, queue: number): Promise<() => void> {
    const { link } = wait;
    // less than a registration lasts, so that no read outlives it
    const seconds = Math.min(BLOCK, this.#store.ttl / 4);
    const keys = [this.#store.listKey(queue), this.#store.claimsKey(queue)] as const;
    while (this.#armed && this.#hooks.mayWait()) {
      let take = (): void => {};
      let late: NodeJS.Timeout | undefined;
      try {
        if (!link.usable) await link.ready();
        wait.clientId ??= await link.within(LATE_MS, redis => redis.client('ID'));
        if (!this.#armed) break;
        late = setTimeout(() => link.reconnect(), BLOCK * 1000 + LATE_MS);
        // in one piece
        const { stream } = link.redis;
        stream.cork();
        const moved = link.redis.blmove(...keys, 'LEFT', 'RIGHT', seconds);
        const claimed = this.#hooks.claim(link.redis, queue);
        stream.uncork();
        const [read, claim] = await Promise.allSettled([moved, claimed]);
        if (claim.status === 'fulfilled') take = claim.value ?? take;
        else this.#hooks.lost();
        if (read.status === 'rejected') throw read.reason;
        if (read.value === null) {
          // an id of an earlier read may have lain there
          take();
          continue;
        }
        if (claim.status === 'fulfilled' && claim.value !== undefined) return take;
      } catch (error) {
        // what we asked for
        if (isRefusal(error) && !this.#armed && error.message.startsWith('UNBLOCKED')) return take;
        // without our asking, Redis says so to all when it becomes a replica: the one to wait at may be another now
        if (refusalOf(error)?.moved === true) link.reconnect();
        if (error instanceof ConnectionError && this.#commands.usable && this.#armed)
          this.#hooks.failed(queue, error);
        if (this.#armed && refusalOf(error)?.name === 'NOPERM') this.#hooks.failed(queue, error as Error);
        // a key of the wrong type, or no memory left for BLMOVE: then the worker looks once a second instead
        if (isRefusal(error) && this.#armed) await pause(REFUSED_MS);
      } finally {
        clearTimeout(late);
      }
      // nothing was claimed, or the link broke: an id may have been taken
      return () => {
        take();
        if (this.#armed) this.#hooks.taken(queue);
        else this.#taken = true;
      };
    }
    return () => {
      if (this.#armed) this.#hooks.taken(queue);
    };
  }

  async #end(wait: Wait): Promise<void> {
    // a read that has not reached Redis yet can't be ended: asked again until it is over
    for (let ms = 1; wait.reading !== undefined; ms = Math.min(ms * 2, 100)) {
      if (wait.clientId !== undefined && wait.link.usable && this.#commands.usable) {
        const { clientId } = wait;
        // or a link that went dead without a word would hold this up for good
        await this.#commands
          .within(LATE_MS, redis => redis.client('UNBLOCK', clientId, 'ERROR'))
          .catch(() => 0);
      } else if (!this.#commands.usable) wait.link.reconnect();
      await Promise.race([wait.reading, pause(ms)]);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

/** Whether it is an answer of Redis'. */
function isRefusal(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}
