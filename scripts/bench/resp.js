/** Cuts a stream of Redis' protocol into its values, without reading them. */

const [DOLLAR, STAR, PERCENT, TILDE, GREATER, EQUALS] = [...Buffer.from('$*%~>=')];
const CR = 13;

/** Cuts one direction of a connection: commands, or replies, come in chunks that end anywhere. */
export class Cutter {
  /** @type {Buffer} */
  #rest = Buffer.alloc(0);

  /** The values that are complete with this chunk. */
  push(/** @type {Buffer} */ chunk) {
    const buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const values = [];
    let at = 0;
    for (let end = valueEnd(buffer, at); end !== -1; end = valueEnd(buffer, at)) {
      values.push(buffer.subarray(at, end));
      at = end;
    }
    this.#rest = buffer.subarray(at);
    return values;
  }
}

/** Where the value ends that begins at `at`; -1 where it is not all there. @returns {number} */
function valueEnd(/** @type {Buffer} */ buffer, /** @type {number} */ at) {
  let left = 1;
  while (left > 0) {
    const lineEnd = buffer.indexOf(CR, at);
    if (lineEnd === -1 || lineEnd + 1 >= buffer.length) return -1;
    const kind = buffer[at];
    left--;
    if (kind === DOLLAR || kind === EQUALS) {
      const length = count(buffer, at + 1, lineEnd);
      at = lineEnd + 2 + (length < 0 ? 0 : length + 2);
      if (at > buffer.length) return -1;
      continue;
    }
    if (kind === STAR || kind === TILDE || kind === GREATER)
      left += Math.max(0, count(buffer, at + 1, lineEnd));
    else if (kind === PERCENT) left += 2 * count(buffer, at + 1, lineEnd);
    // what else there is is one line
    at = lineEnd + 2;
  }
  return at;
}

function count(/** @type {Buffer} */ buffer, /** @type {number} */ from, /** @type {number} */ to) {
  return Number(buffer.toString('latin1', from, to));
}
