/** A Lua script whose keys and arguments are named once, for Lua and for TypeScript. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { Keys, type QueueKeys } from './keys.ts';
import { constantLines, type Constant } from './constants.ts';

export type Argument = string | number | Buffer;
type QueueKey = Exclude<keyof QueueKeys, 'name'> | 'claims';

interface Definition<Key extends string, K extends QueueKey, Arg extends string, C extends Constant> {
  /** The verb; it names the script in error messages. */
  readonly name: string;
  /** Keys that stand once: each becomes a local of this name. */
  readonly keys?: readonly Key[];
  /** Keys that stand once a queue: `queue(i).list` and so on; `queues` is their number. */
  readonly queueKeys?: readonly K[];
  /** What is the same in every call: each becomes a local of this name, a string. */
  readonly constants?: readonly C[];
  /** Arguments that stand once: each becomes a local of this name, a string. What follows them begins at `ARGV[rest]`. */
  readonly args?: readonly Arg[];
  /** Lua that several scripts share, put before the body. */
  readonly parts?: readonly string[];
  /** Runs even when Redis is out of memory: for what claims, ends or releases jobs. */
  readonly allowOom?: boolean;
  /** Changes nothing: so it runs whatever writes Redis refuses. */
  readonly readsOnly?: boolean;
  readonly body: string;
}

/** What ioredis has and its types leave out. */
interface RawScripts {
  evalsha(sha: string, args: readonly Argument[]): Promise<unknown>;
  eval(source: string, args: readonly Argument[]): Promise<unknown>;
  evalshaBuffer(sha: string, args: readonly Argument[]): Promise<unknown>;
  evalBuffer(source: string, args: readonly Argument[]): Promise<unknown>;
}

const RQS = new Keys();

/** The keys of one queue that a script asked for. */
export type Unit<K extends QueueKey> = Readonly<Record<K, string>>;

export class Script<
  Key extends string = never,
  K extends QueueKey = never,
  Arg extends string = never,
  C extends Constant = never,
> {
  readonly name: string;
  readonly #keys: readonly Key[];
  readonly #queueKeys: readonly K[];
  readonly #args: readonly Arg[];
  readonly #constants: readonly C[];
  readonly #head: readonly string[];
  readonly #body: string;
  /** By prefix: arguments cost more than constants, on both sides. */
  readonly #texts: Map<string, ScriptText> = new Map();

  constructor(definition: Definition<Key, K, Arg, C>) {
    const {
      name,
      keys = [],
      queueKeys = [],
      constants = [],
      args = [],
      parts = [],
      allowOom = false,
      readsOnly = false,
      body,
    } = definition;
    this.name = name;
    this.#keys = keys;
    this.#queueKeys = queueKeys;
    this.#args = args;
    this.#constants = constants;
    const flags = readsOnly ? ' flags=no-writes,allow-oom' : allowOom ? ' flags=allow-oom' : '';
    const lines = [`#!lua${flags}`, `-- ${name}`];
    keys.forEach((key, i) => lines.push(`local ${key} = KEYS[${i + 1}]`));
    if (queueKeys.length > 0) {
      const fields = queueKeys.map((key, i) => `${key} = KEYS[base + ${i + 1}]`).join(', ');
      lines.push(
        `local queues = (#KEYS - ${keys.length}) / ${queueKeys.length}`,
        'local queue_units = {}',
        'local function queue(i)',
        '  local unit = queue_units[i]',
        '  if unit then return unit end',
        `  local base = ${keys.length} + (i - 1) * ${queueKeys.length}`,
        `  unit = { ${fields} }`,
        '  queue_units[i] = unit',
        '  return unit',
        'end',
      );
    }
    args.forEach((arg, i) => lines.push(`local ${arg} = ARGV[${i + 1}]`));
    lines.push(`local rest = ${args.length + 1}`);
    this.#head = lines;
    this.#body = [...parts, body].join('\n');
  }

  /** What Redis is given, for RQ's own prefix. */
  get source(): string {
    return this.#text(RQS).source;
  }

  /** Its SHA-1, by which Redis knows it. */
  get sha(): string {
    return this.#text(RQS).sha;
  }

  #text(of: Keys): ScriptText {
    const known = this.#texts.get(of.prefix);
    if (known !== undefined) return known;
    const source = [...this.#head, ...constantLines(this.#constants, of), this.#body].join('\n');
    const made = { source, sha: createHash('sha1').update(source).digest('hex') };
    this.#texts.set(of.prefix, made);
    return made;
  }

  /** Runs the script; bulk strings in the reply are strings. */
  async run(redis: Redis, call: Call<Key, K, Arg, C>): Promise<unknown> {
    // as one list: there may be more of them than a function can be called with
    const args = this.#arguments(call);
    const { sha, source } = this.#text(call.of ?? RQS);
    const raw = redis as unknown as RawScripts;
    try {
      return await raw.evalsha(sha, args);
    } catch (error) {
      if (!isNoScript(error)) throw error;
      return await raw.eval(source, args);
    }
  }

  /** Runs the script; bulk strings in the reply are `Buffer`s, so that binary values arrive as they are. */
  async runRaw(redis: Redis, call: Call<Key, K, Arg, C>): Promise<unknown> {
    const args = this.#arguments(call);
    const { sha, source } = this.#text(call.of ?? RQS);
    const raw = redis as unknown as RawScripts;
    try {
      return await raw.evalshaBuffer(sha, args);
    } catch (error) {
      if (!isNoScript(error)) throw error;
      return await raw.evalBuffer(source, args);
    }
  }

  #arguments({ keys, queues = [], args, rest = [] }: Call<Key, K, Arg, C>): Argument[] {
    const all: Argument[] = [this.#keys.length + queues.length * this.#queueKeys.length];
    for (const key of this.#keys) all.push(keys[key]);
    for (const unit of queues) for (const key of this.#queueKeys) all.push(unit[key]);
    for (const arg of this.#args) all.push(args[arg]);
    for (const arg of rest) all.push(arg);
    return all;
  }
}

interface ScriptText {
  readonly source: string;
  readonly sha: string;
}

/** `of` says whose prefix the constants are of, where there are any. */
export type Call<Key extends string, K extends QueueKey, Arg extends string, C extends Constant> = Values<
  Key,
  K,
  Arg
> &
  ([C] extends [never] ? { readonly of?: undefined } : { readonly of: Keys });

interface Values<Key extends string, K extends QueueKey, Arg extends string> {
  readonly keys: Readonly<Record<Key, string>>;
  readonly queues?: readonly Unit<K>[];
  readonly args: Readonly<Record<Arg, Argument>>;
  readonly rest?: Argument[];
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
