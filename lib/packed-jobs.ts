/** Jobs as the advance script packs them: MessagePack, of which arrays, texts and small numbers are read. */
import type { Fields } from './record.ts';

export interface PackedJob {
  /** Place among the worker's queues, from 1. */
  readonly queue: number;
  readonly jobId: string;
  readonly fields: Fields;
}

/** Walks over packed values. */
class Reader {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** The length of the array, or of the text, that begins here, or the small number that stands here. */
  head(): number {
    const { bytes } = this;
    const kind = bytes[this.at++] as number;
    if (kind < 0x80) return kind;
    if (kind < 0x90) return 0; // Lua's empty table is a map
    if (kind < 0xa0) return kind & 0x0f;
    if (kind < 0xc0) return kind & 0x1f;
    // uint8 and str8; uint16, str16 and array16; the rest has 32 bits
    const width =
      kind === 0xcc || kind === 0xd9 ? 1 : kind === 0xcd || kind === 0xda || kind === 0xdc ? 2 : 4;
    this.at += width;
    return bytes.readUIntBE(this.at - width, width);
  }

  /** Goes over a text; answers where it began. */
  skip(): number {
    const length = this.head();
    this.at += length;
    return this.at - length;
  }
}

/**
 * The bit of a name in the set of those that a job has. Most of what is asked for is not there, and this says so in nearly
 * every case, without a look at the names.
 */
function bitOf(length: number, first: number, last: number): number {
  return 1 << (length * 3 + first + last * 5);
}

/** A job's fields within a reply; nothing is decoded that nobody asks for. */
class PackedFields implements Fields {
  readonly #bytes: Buffer;
  /** Where name and value of each field begin and end. */
  readonly #spans: readonly number[];
  readonly #bits: number;

  constructor(bytes: Buffer, spans: readonly number[], bits: number) {
    this.#bytes = bytes;
    this.#spans = spans;
    this.#bits = bits;
  }

  get(name: string): Buffer | undefined {
    const at = this.#find(name);
    return at < 0 ? undefined : this.#bytes.subarray(this.#spans[at], this.#spans[at + 1]);
  }

  text(name: string): string | undefined {
    const at = this.#find(name);
    return at < 0 ? undefined : this.#bytes.toString('utf8', this.#spans[at], this.#spans[at + 1]);
  }

  digits(name: string): number | undefined | null {
    const at = this.#find(name);
    if (at < 0) return undefined;
    const [begin, end] = [this.#spans[at] as number, this.#spans[at + 1] as number];
    if (end === begin || end - begin > 15) return null;
    let number = 0;
    for (let i = begin; i < end; i++) {
      const digit = (this.#bytes[i] as number) - 0x30;
      if (digit < 0 || digit > 9) return null;
      number = number * 10 + digit;
    }
    return number;
  }

  /** Where the value's span stands; -1 where there is no such field. */
  #find(name: string): number {
    const { length } = name;
    if ((this.#bits & bitOf(length, name.charCodeAt(0), name.charCodeAt(length - 1))) === 0) return -1;
    const spans = this.#spans;
    for (let i = 0; i < spans.length; i += 4) {
      const begin = spans[i] as number;
      if ((spans[i + 1] as number) - begin === length && this.#stands(name, begin)) return i + 2;
    }
    return -1;
  }

  #stands(name: string, begin: number): boolean {
    for (let i = 0; i < name.length; i++) if (this.#bytes[begin + i] !== name.charCodeAt(i)) return false;
    return true;
  }
}

export function unpackJobs(bytes: Buffer): PackedJob[] {
  if (bytes.length === 0) return [];
  const reader = new Reader(bytes);
  const jobs: PackedJob[] = [];
  for (let left = reader.head(); left > 0; left -= 3) {
    const queue = reader.head();
    const jobId = bytes.toString('utf8', reader.skip(), reader.at);
    const count = reader.head();
    // of its size from the start: the arrays that a growing one leaves behind would be a fifth of a job's garbage
    const spans = Array<number>(count * 2);
    let bits = 0;
    for (let i = 0; i < spans.length; i += 4) {
      const name = reader.skip();
      const end = reader.at;
      bits |= bitOf(end - name, bytes[name] as number, bytes[end - 1] as number);
      spans[i] = name;
      spans[i + 1] = end;
      spans[i + 2] = reader.skip();
      spans[i + 3] = reader.at;
    }
    jobs.push({ queue, jobId, fields: new PackedFields(bytes, spans, bits) });
  }
  return jobs;
}
