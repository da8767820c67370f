/** Cuts what goes over a connection to Redis into RESP values. */

/** Collects the chunks of one direction. */
export class Values {
  #rest: Buffer = Buffer.alloc(0);

  /** The values that are complete now, each as it stood. */
  push(chunk: Buffer): Buffer[] {
    const all = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const values: Buffer[] = [];
    let at = 0;
    for (let end = endOf(all, at); end >= 0; end = endOf(all, at)) {
      values.push(all.subarray(at, end));
      at = end;
    }
    this.#rest = all.subarray(at);
    return values;
  }
}

/** The words of a request, which is an array of bulk strings. */
export function wordsOf(request: Buffer): string[] {
  const words: string[] = [];
  let at = request.indexOf('\r\n') + 2;
  while (at < request.length) {
    const text = request.indexOf('\r\n', at) + 2;
    const end = endOf(request, at);
    words.push(request.toString('utf8', text, end - 2));
    at = end;
  }
  return words;
}

/** Whether this was sent to a subscriber without being asked for. */
export function isMessage(value: Buffer): boolean {
  return value.toString('latin1', 0, 17) === '*3\r\n$7\r\nmessage\r\n';
}

/** Where the value that begins at `at` ends; -1 where a part of it is still to come. */
function endOf(bytes: Buffer, at: number): number {
  const line = bytes.indexOf('\r\n', at);
  if (line < 0) return -1;
  const kind = String.fromCharCode(bytes[at] as number);
  if (kind !== '$' && kind !== '*') return line + 2;
  const size = Number(bytes.toString('latin1', at + 1, line));
  if (kind === '$') {
    const end = size < 0 ? line + 2 : line + 4 + size;
    return end <= bytes.length ? end : -1;
  }
  let end = line + 2;
  for (let i = 0; i < size && end >= 0; i++) end = endOf(bytes, end);
  return end;
}
