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

/** A job's fields within a reply; nothing is decoded that nobody asks for. */
class PackedFields implements Fields {
  readonly #bytes: Buffer;
  readonly #first: number;
  readonly #count: number;

  constructor(bytes: Buffer, first: number, count: number) {
    this.#bytes = bytes;
    this.#first = first;
    this.#count = count;
  }

  get(name: string): Buffer | undefined {
    const reader = new Reader(this.#bytes, this.#first);
    for (let i = 0; i < this.#count; i += 2) {
      const begin = reader.skip();
      const found = reader.at - begin === name.length && this.#stands(name, begin);
      const value = reader.skip();
      if (found) return this.#bytes.subarray(value, reader.at);
    }
    return undefined;
  }

  #stands(name: string, begin: number): boolean {
    for (let i = 0; i < name.length; i++) if (this.#bytes[begin + i] !== name.charCodeAt(i)) return false;
    return true;
  }
}

export function unpackJobs(bytes: Buffer): PackedJob[] {
  const reader = new Reader(bytes);
  const jobs: PackedJob[] = [];
  for (let left = reader.head(); left > 0; left -= 3) {
    const queue = reader.head();
    const jobId = bytes.toString('utf8', reader.skip(), reader.at);
    const count = reader.head();
    jobs.push({ queue, jobId, fields: new PackedFields(bytes, reader.at, count) });
    for (let i = 0; i < count; i++) reader.skip();
  }
  return jobs;
}
