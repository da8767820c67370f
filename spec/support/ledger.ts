/** A ledger outside Redis: what each run of the spec function `ledger` wrote down. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Ledger {
  readonly #dir: string = mkdtempSync(join(tmpdir(), 'rq-node-ledger-'));
  readonly file: string = join(this.#dir, 'ledger');

  /** How often each id was started, and ended. */
  counts(event: 'start' | 'end'): Map<string, number> {
    const counts = new Map<string, number>();
    for (const line of this.#lines()) {
      const [kind, id = ''] = line.split(' ');
      if (kind === event) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #lines(): string[] {
    try {
      return readFileSync(this.file, 'utf8').split('\n');
    } catch {
      return [];
    }
  }
}
