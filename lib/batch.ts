/** Collects what is asked for in one tick, so that it shares a round trip. */

/** Sends a batch; gives one answer an item, in their order, an `Error` for an item that failed. */
export type Send<Item, Answer> = (items: readonly Item[]) => Promise<readonly (Answer | Error)[]>;

/** What goes out together, and what comes of it: every caller takes its own from the one promise. */
interface Part<Item, Answer> {
  readonly items: Item[];
  readonly answers: Promise<readonly (Answer | Error)[]>;
  readonly send: () => void;
  /** Its tick is over: it waits for a call to be answered, or for this timer. */
  held?: NodeJS.Timeout;
}

export interface BatchOptions<Item> {
  /** How heavy a batch may get, and what an item weighs. */
  readonly weight?: { readonly most: number; readonly of: (item: Item) => number };
  /** When a tick is over; with `setImmediate` also what timers add that are over at the same moment. `nextTick` by default. */
  readonly soon?: (flush: () => void) => void;
  /**
   * Calls under way with which the next batch waits until one of them is answered, or so many milliseconds: so that who adds
   * an item for each answer that comes does not make each its own call. Without it none waits.
   */
  readonly calm?: { readonly calls: number; readonly ms: number };
}

/** Each `add` made before the tick ends goes out with the others, in batches of at most `most` items. */
export class Batch<Item, Answer> {
  readonly #most: number;
  readonly #send: Send<Item, Answer>;
  readonly #weight: BatchOptions<Item>['weight'];
  readonly #soon: (flush: () => void) => void;
  readonly #calm: BatchOptions<Item>['calm'];
  #part: Part<Item, Answer> | undefined;
  #heavy = 0;
  /** Calls under way. */
  #calls = 0;

  constructor(most: number, send: Send<Item, Answer>, options: BatchOptions<Item> = {}) {
    this.#most = most;
    this.#send = send;
    this.#weight = options.weight;
    this.#soon = options.soon ?? (flush => process.nextTick(flush));
    this.#calm = options.calm;
  }

  /** The item's answer. */
  add(item: Item): Promise<Awaited<Answer>> {
    return this.addAnd(item, answer => answer);
  }

  /** What is made of the item's answer: with one promise, as there is one for each of many items. */
  addAnd<T>(item: Item, make: (answer: Awaited<Answer>) => T | PromiseLike<T>): Promise<T> {
    const { items, answers } = this.#push(item);
    const at = items.length - 1;
    return answers.then(all => {
      const answer = settled(all[at] as Answer | Error);
      return answer instanceof Promise ? answer.then(make) : make(answer as Awaited<Answer>);
    });
  }

  /** The answers of several items, or the first of their errors. */
  async addAll(items: Iterable<Item>): Promise<Awaited<Answer>[]> {
    const shares: { readonly part: Part<Item, Answer>; readonly first: number; end: number }[] = [];
    for (const item of items) {
      const part = this.#push(item);
      const end = part.items.length;
      const share = shares.at(-1);
      if (share?.part === part) share.end = end;
      else shares.push({ part, first: end - 1, end });
    }
    // as each part comes, since an answer may be a promise that nobody else looks after
    const answers = shares.map(({ part, first, end }) =>
      part.answers.then(all => allSettled(all.slice(first, end))),
    );
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
      send = () => {
        this.#calls++;
        void sent()
          .finally(() => this.#answered())
          .then(resolve, reject);
      };
    });
    const part: Part<Item, Answer> = { items, answers, send };
    this.#soon(() => this.#due(part));
    return part;
  }

  /** The tick is over, unless the part was full before that. */
  #due(part: Part<Item, Answer>): void {
    if (this.#part !== part) return;
    if (this.#calm === undefined || this.#calls < this.#calm.calls) this.#flush(part);
    else part.held = setTimeout(() => this.#flush(part), this.#calm.ms);
  }

  #answered(): void {
    this.#calls--;
    if (this.#part?.held !== undefined) this.#flush(this.#part);
  }

  #flush(part: Part<Item, Answer>): void {
    if (this.#part !== part) return;
    clearTimeout(part.held);
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
