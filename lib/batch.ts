/** Collects what is asked for in one tick, so that it shares a round trip. */

/** Sends a batch; gives one answer an item, in their order, an `Error` for an item that failed. */
export type Send<Item, Answer> = (items: readonly Item[]) => Promise<readonly (Answer | Error)[]>;

/** What goes out together, and what comes of it: every caller takes its own from the one promise. */
interface Part<Item, Answer> {
  readonly items: Item[];
  readonly answers: Promise<readonly (Answer | Error)[]>;
  readonly send: () => void;
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
  #part: Part<Item, Answer> | undefined;
  #heavy = 0;

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

  /** The item's answer. */
  add(item: Item): Promise<Awaited<Answer>> {
    const { items, answers } = this.#push(item);
    const at = items.length - 1;
    return answers.then(all => settled(all[at] as Answer | Error));
  }

  /** The answers of several items, or the first of their errors. */
  async addAll(items: readonly Item[]): Promise<Awaited<Answer>[]> {
    const answers: Promise<Awaited<Answer>[]>[] = [];
    for (let i = 0; i < items.length;) {
      const part = this.#push(items[i++] as Item);
      const first = part.items.length - 1;
      while (part === this.#part && i < items.length) this.#push(items[i++] as Item);
      const end = part.items.length;
      // as each part comes, since an answer may be a promise that nobody else looks after
      answers.push(part.answers.then(all => allSettled(all.slice(first, end))));
    }
    return (await Promise.all(answers)).flat();
  }

  #push(item: Item): Part<Item, Answer> {
    const part = (this.#part ??= this.#open());
    part.items.push(item);
    this.#heavy += this.#weight?.of(item) ?? 0;
    // at once, so that whoever gets it works on it while the next ones are made
    if (part.items.length >= this.#most || this.#heavy >= (this.#weight?.most ?? Infinity)) this.#flush(part);
    return part;
  }

  #open(): Part<Item, Answer> {
    const items: Item[] = [];
    let send = (): void => {};
    const answers = new Promise<readonly (Answer | Error)[]>((resolve, reject) => {
      const sent = async (): Promise<readonly (Answer | Error)[]> => this.#send(items);
      send = () => void sent().then(resolve, reject);
    });
    const part = { items, answers, send };
    this.#soon(() => this.#flush(part));
    return part;
  }

  #flush(part: Part<Item, Answer>): void {
    // full before its time had come
    if (this.#part !== part) return;
    this.#part = undefined;
    this.#heavy = 0;
    part.send();
  }
}

function settled<Answer>(answer: Answer | Error): Awaited<Answer> | PromiseLike<Awaited<Answer>> {
  if (answer instanceof Error) throw answer;
  return answer as Awaited<Answer> | PromiseLike<Awaited<Answer>>;
}

/** Promises among the answers are waited for. */
function allSettled<Answer>(
  answers: readonly (Answer | Error)[],
): Awaited<Answer>[] | Promise<Awaited<Answer>[]> {
  if (answers.some(answer => answer instanceof Error || answer instanceof Promise))
    return Promise.all(answers.map(async answer => settled(answer)));
  return answers as Awaited<Answer>[];
}
