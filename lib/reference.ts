/** A job as an argument: what stands in a call for a result that may not exist yet. */
import { randomUUID } from 'node:crypto';

/** Marks the classes whose objects stand for results, in all copies of this package in the process. */
const BRAND = Symbol.for('rq-node.reference');

/** What a job, or a group of jobs, stands for as an argument: one result, or the list of all. */
export interface Stands {
  readonly ids: readonly string[];
  readonly list: boolean;
  /** Which Redis, database and prefix the jobs are on. */
  readonly home: string;
}

/** A job, or a group of jobs. */
export interface Reference {
  /** What it stands for as an argument of another job. */
  readonly standsFor: Stands;
}

/** Has objects of a class taken for references: data that only looks like one is none. */
export function brand(prototype: Reference): void {
  Object.defineProperty(prototype, BRAND, { value: true });
}

/** A job that is about to be queued. */
export class Pending implements Reference {
  readonly standsFor: Stands;
  static {
    brand(Pending.prototype);
  }

  constructor(id: string, home: string) {
    this.standsFor = { ids: [id], list: false, home };
  }
}

export function isReference(value: unknown): value is Reference {
  return typeof value === 'object' && value !== null && BRAND in value;
}

/**
 * In a job's `data` a job stands as the string `"\u006aob:<id>"`: every serializer writes that letter as it is, so that no
 * text of a caller's can be equal to it.
 */
const TOKEN = String.raw`"\u006aob:`;
const TOKENS = /"\\u006aob:([\w-]+)"/g;

/** What stands for a job until the text is made: nobody else knows it, so that it is in no text of a caller's. */
const MARK = `${randomUUID()}:`;
const MARKS = new RegExp(`"${MARK}([\\w-]+)"`, 'g');

/** The references that a value holds, and its JSON text with tokens in their places. */
export class References {
  /** Made with the first one, as most calls have none. */
  #ids: Set<string> | undefined;
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** Ids of the jobs that were noted, each once. */
  get ids(): Iterable<string> {
    return this.#ids ?? [];
  }

  get count(): number {
    return this.#ids?.size ?? 0;
  }

  /** What is wrong with a reference, if anything is. */
  check(reference: Reference): string | undefined {
    const { ids, home } = reference.standsFor;
    if (home !== this.#home) return `is a job of another Redis (${home}): this queue is on ${this.#home}`;
    return ids.length === 0 ? 'is a group without jobs' : undefined;
  }

  /** Notes what a value stands for; answers what is wrong with it, if anything is. */
  add(reference: Reference): string | undefined {
    this.#ids ??= new Set();
    for (const id of reference.standsFor.ids) this.#ids.add(id);
    return this.check(reference);
  }

  stringify(value: unknown): string {
    if (this.#ids === undefined) return JSON.stringify(value);
    const text = JSON.stringify(value, (_, item: unknown) => {
      if (!isReference(item)) return item;
      const { ids, list } = item.standsFor;
      const marks = ids.map(id => MARK + id);
      return list ? marks : marks[0];
    });
    return text.replace(MARKS, (_, id: string) => `${TOKEN}${id}"`);
  }
}

/** Whether a job's JSON text holds tokens still. */
export function holdsTokens(text: string): boolean {
  return text.includes(TOKEN);
}

/** The ids whose results a job's JSON text still waits for, each once. */
export function tokensIn(text: string): string[] {
  return [...new Set([...text.matchAll(TOKENS)].map(([, id]) => id ?? ''))];
}

/** The text with results, which are JSON texts, in the places of the tokens. */
export function withResults(text: string, results: ReadonlyMap<string, string>): string {
  return text.replace(TOKENS, (token, id: string) => results.get(id) ?? token);
}
