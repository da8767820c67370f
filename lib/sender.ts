/** Sends calls of a producer: when there is a connection, for no longer than the deadline, again where that is safe. */
import type { Redis } from 'ioredis';
import type { Link } from './connection.ts';
import { ConnectionError, OutcomeUnknownError } from './errors.ts';
import { refusalOf, refused } from './refusal.ts';

/** Milliseconds to the next try of a call that Redis refused for the moment. */
const REFUSED_MS = 100;

/** Whether a call changes something, and then whether it may be sent a second time. */
export type CallKind = 'read' | 'write' | 'repeatable';

export class Sender {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /**
   * Sends a call once there is a connection, and waits for the reply no longer than the deadline. What may be repeated
   * is sent again over a new connection while there is time: `again` says that it may have been sent before.
   */
  async send<T>(
    what: string,
    kind: CallKind,
    call: (redis: Redis, again: boolean) => Promise<T>,
  ): Promise<T> {
    const link = this.#link;
    const ends = performance.now() + link.deadlineMs;
    let sent = false;
    let again = link.resends;
    for (;;) {
      let cause: unknown;
      try {
        if (!link.usable) await link.ready();
        return await withDeadline(call(link.redis, again), link.deadlineMs);
      } catch (error) {
        again = true;
        if (error instanceof Error && error.name === 'ReplyError') {
          if (!(await this.#passes(error, ends))) throw refused(what, error);
          continue;
        }
        // our own, and not the connection's
        if (error instanceof TypeError || error instanceof RangeError) throw error;
        if (error instanceof ConnectionError && (!sent || kind === 'read')) throw error;
        cause = error;
      }
      // whoever does not answer may be gone without a word
      if (cause instanceof LateError) link.reconnect();
      const late = cause instanceof LateError || cause instanceof ConnectionError;
      const unsent = cause instanceof Error && cause.message.startsWith("Stream isn't writeable");
      sent ||= !unsent;
      if (!late && (unsent || kind !== 'write') && performance.now() < ends) {
        // the end of a link that broke is told in a later turn
        await new Promise(resolve => setImmediate(resolve));
        continue;
      }
      const why = `Redis at ${link.address} gave no reply to '${what}' within ${link.deadlineMs} ms`;
      if (kind === 'read' || !sent) throw new ConnectionError(why, { cause });
      const hint =
        what === 'enqueue'
          ? '; repeated with the same jobId it is not added twice while it has not ended'
          : '';
      throw new OutcomeUnknownError(`${why}: it may or may not have taken place${hint}`, { cause });
    }
  }

  /** Where Redis did nothing, and may soon do it: waits a moment, and says that there is time to try again. */
  async #passes(error: Error, ends: number): Promise<boolean> {
    const refusal = refusalOf(error);
    if (refusal?.passes !== true || performance.now() + REFUSED_MS > ends) return false;
    if (refusal.moved) this.#link.reconnect();
    await new Promise(resolve => setTimeout(resolve, REFUSED_MS));
    return true;
  }
}

/** No reply came in time; whatever it was may still take place. */
class LateError extends Error {}

async function withDeadline<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  // not unref'd: an idle connection does not keep a script alive, a call under way does
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LateError(`No reply within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
