/** Collects what is asked for in one tick, so that it shares a round trip. */

/** Sends a batch; gives one answer an item, in their order, an `Error` for an item that failed. */
export type Send<Item, Answer> = (items: readonly Item[]) => Promise<readonly (Answer | Error)[]>;

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Each `add` made before the tick ends goes out with the others, in batches of at most `most` items. */
export class Batch<Item, Answer> {
  readonly #most: number;
  readonly #send: Send<Item, Answer>;
  #waiting: Waiting<Item, Answer>[] = [];

  constructor(most: number, send: Send<Item, Answer>) {
    this.#most = most;
    this.#send = send;
  }

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) process.nextTick(() => this.#flush());
      this.#waiting.push({ item, resolve, reject });
    });
  }

  #flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (let first = 0; first < all.length; first += this.#most) {
      void this.#deliver(all.slice(first, first + this.#most));
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
