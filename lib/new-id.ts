/** Ids of new jobs: uuids of version 7, which sort in the order in which this process made them. */
import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** The first byte that is random: time stands before it. The first four of them begin a millisecond's sequence. */
const FIRST_RANDOM = 6;

// a call for random bytes, and a text of twenty pieces, for each id would cost more than the rest of an enqueue's own work
const pool = new Uint8Array((16 - FIRST_RANDOM) * 2048);
let used = pool.length;
const random = new Uint8Array(16);
const view = new DataView(random.buffer);
const options = { random, msecs: 0, seq: 0 };
const bytes = new Uint8Array(16);
const text = Buffer.alloc(36, '-');
const HEX = Uint8Array.from('0123456789abcdef', digit => digit.charCodeAt(0));
/** Where each byte stands in the text. */
const PLACES = Uint8Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34);

export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  for (let i = FIRST_RANDOM; i < 16; i++) random[i] = pool[used++] as number;
  const now = Date.now();
  if (now > options.msecs) {
    options.msecs = now;
    options.seq = view.getUint32(FIRST_RANDOM) >>> 1;
  } else options.seq++;
  v7(options, bytes);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[i] as number;
    const place = PLACES[i] as number;
    text[place] = HEX[byte >> 4] as number;
    text[place + 1] = HEX[byte & 15] as number;
  }
  return text.toString('latin1');
}
