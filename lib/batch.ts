/** Collects what is asked for in one tick, so that it shares a round trip. */

/** Sends a batch; gives one answer an item, in their order, an `Error` for an item that failed. */
export type Send<Item, Answer> = (items: readonly Item[]) => Promise<readonly (Answer | Error)[]>;

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** How heavy a batch may get, and what an item weighs. */
export interface Weight<Item> {
  readonly most: number;
  readonly of: (item: Item) => number;
}

/**
 * Each `add` made before the tick ends goes out with the others, in batches of at most `most` items, or of a weight. With
 * `setImmediate` for `soon`, also those of all timers that are over at the same moment.
 */
export class Batch<Item, Answer> {
  readonly #most: number;
  readonly #send: Send<Item, Answer>;
  readonly #weight: Weight<Item> | undefined;
  readonly #soon: (flush: () => void) => void;
  #waiting: Waiting<Item, Answer>[] = [];

  constructor(
    most: number,
    send: Send<Item, Answer>,
    weight?: Weight<Item>,
    soon: (flush: () => void) => void = flush => process.nextTick(flush),
  ) {
    this.#most = most;
    this.#soon = soon;
    this.#send = send;
    this.#weight = weight;
  }

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) this.#soon(() => this.#flush());
      this.#waiting.push({ item, resolve, reject });
    });
  }

  #flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    let first = 0;
    let heavy = 0;
    for (const [i, { item }] of all.entries()) {
      heavy += this.#weight?.of(item) ?? 0;
      const full = i + 1 - first === this.#most || heavy >= (this.#weight?.most ?? Infinity);
      if (!full && i + 1 < all.length) continue;
      void this.#deliver(all.slice(first, i + 1));
      first = i + 1;
      heavy = 0;
    }
  }

  async #deliver(part: readonly Waiting<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#send(part.map(({ item }) => item));
      part.forEach(({ resolve, reject }, i) => {
        const answer = answers[i];
        if (answer instanceof Error) reject(answer);
        else resolve(answer as Answer);
      });
    } catch (error) {
      for (const { reject } of part) reject(error);
    }
  }
}
