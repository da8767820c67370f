/** Channels that are subscribed to ahead, for jobs that are about to be enqueued and waited for at once. */
import { newId } from './new-id.ts';

/** How many jobs are subscribed to with one call: a call for each would cost a round trip a twentieth of its time. */
const AHEAD = 8;
/** Milliseconds in which somebody has to wait for them. */
const EXPECTED_MS = 1_000;

/** What came for a job that nobody has waited for yet. */
export interface Expectation<Message> {
  readonly messages: readonly Message[];
  readonly leave: () => void;
}

/** Listens to jobs of a queue, with one call; gives back how each is left. */
type ListenAll<Message> = (
  queue: string,
  ids: readonly string[],
  tell: (id: string, message: Message) => void,
) => readonly (() => void)[];

/**
 * Where a job was waited for at once, the next one will be: so its channel is subscribed to with its enqueue, and with it
 * those of some jobs that do not exist yet. The next jobs get their ids.
 */
export class Expected<Message> {
  readonly #listenAll: ListenAll<Message>;
  /** Whether the last job that could be expected was waited for at once. */
  #expects = false;
  readonly #jobs: Map<string, Expectation<Message>> = new Map();
  /** Ids that no job has yet, and the queue that their channels are of. */
  #ids: string[] = [];
  #queue = '';
  readonly #timers: Set<NodeJS.Timeout> = new Set();

  constructor(listenAll: ListenAll<Message>) {
    this.#listenAll = listenAll;
  }

  /** The id of the next job of a queue. */
  nextId(queue: string): string {
    return (queue === this.#queue ? this.#ids.shift() : undefined) ?? newId();
  }

  /** A job is about to be enqueued; `able` where there is a connection to subscribe over. */
  expect(queue: string, id: string, able: boolean): void {
    const expects = this.#expects && able;
    this.#expects = false;
    if (!expects || this.#jobs.has(id)) return;
    const next = Array.from({ length: AHEAD - 1 }, newId);
    const messages = new Map([id, ...next].map(each => [each, [] as Message[]]));
    const ids = [...messages.keys()];
    const leaves = this.#listenAll(queue, ids, (each, message) => messages.get(each)?.push(message));
    leaves.forEach((leave, i) => {
      const each = ids[i] ?? '';
      this.#jobs.set(each, { messages: messages.get(each) ?? [], leave });
    });
    this.#queue = queue;
    this.#ids = next;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#ids === next) this.#ids = [];
      for (const each of ids) this.take(each)?.leave();
    }, EXPECTED_MS).unref();
    this.#timers.add(timer);
  }

  /** Somebody waits for a job that is new. */
  waited(): void {
    this.#expects = true;
  }

  /** What has come for a job that was expected, once; it is the caller's to leave. */
  take(id: string): Expectation<Message> | undefined {
    const expected = this.#jobs.get(id);
    this.#jobs.delete(id);
    return expected;
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#ids = [];
  }
}
