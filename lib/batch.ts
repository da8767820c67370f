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
  #heavy = 0;
  #scheduled = false;

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
      this.#waiting.push({ item, resolve, reject });
      this.#heavy += this.#weight?.of(item) ?? 0;
      // at once, so that whoever gets it works on it while the next ones are made
      if (this.#waiting.length >= this.#most || this.#heavy >= (this.#weight?.most ?? Infinity))
        this.#flush();
      else if (!this.#scheduled) {
        this.#scheduled = true;
        this.#soon(() => {
          this.#scheduled = false;
          this.#flush();
        });
      }
    });
  }

  #flush(): void {
    const part = this.#waiting;
    if (part.length === 0) return;
    this.#waiting = [];
    this.#heavy = 0;
    void this.#deliver(part);
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
