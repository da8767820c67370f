/** A ledger outside Redis: what producers were told of each job, and what each run of the spec function `ledger` wrote. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a producer was told: it is on the queue, nothing was sent (or Redis refused it), or nobody knows. */
export type Told = 'acknowledged' | 'unsent' | 'unknown';
/** What may become of a job that leaves nothing behind once it is over. */
export type Leaves = 'kept' | 'dropped' | 'expiring' | 'deleted';

export interface Entry {
  told: Told;
  leaves: Leaves;
  /** Each start and end of a run, in milliseconds, and the process it was in. */
  readonly starts: { readonly at: number; readonly pid: number }[];
  readonly ends: { readonly at: number; readonly pid: number }[];
}

export interface Fault {
  readonly at: number;
  /** The process that was struck; 0 where it was none, but Redis or the net. */
  readonly pid: number;
}

export class Ledger {
  readonly #dir: string = mkdtempSync(join(tmpdir(), 'rq-node-ledger-'));
  readonly file: string = join(this.#dir, 'ledger');

  /** Notes what a producer was told of a job. */
  told(id: string, told: Told, leaves: Leaves = 'kept'): void {
    this.#write(`${told} ${id} ${leaves}`);
  }

  /** Notes that a job was taken away on purpose. */
  deleted(id: string): void {
    this.#write(`deleted ${id}`);
  }

  /** Notes that something was struck now: a process of this id, or Redis or the net. */
  struck(pid: number = 0): void {
    this.#write(`fault - ${pid} ${Date.now()}`);
  }

  /** How often each id was started, and ended. */
  counts(event: 'start' | 'end'): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [kind, id = ''] of this.#lines())
      if (kind === event) counts.set(id, (counts.get(id) ?? 0) + 1);
    return counts;
  }

  /** All that is known of each id, and the faults in their order. */
  read(): { readonly entries: Map<string, Entry>; readonly faults: readonly Fault[] } {
    const entries = new Map<string, Entry>();
    const faults: Fault[] = [];
    for (const [kind, id = '', third = '', at = ''] of this.#lines()) {
      if (kind === 'fault') {
        faults.push({ at: Number(at), pid: Number(third) });
        continue;
      }
      let entry = entries.get(id);
      // a run may write before its producer was told anything, which it then never was
      if (entry === undefined)
        entries.set(id, (entry = { told: 'unknown', leaves: 'kept', starts: [], ends: [] }));
      if (kind === 'start') entry.starts.push({ at: Number(at), pid: Number(third) });
      else if (kind === 'end') entry.ends.push({ at: Number(at), pid: Number(third) });
      else if (kind === 'deleted') entry.leaves = 'deleted';
      else {
        entry.told = kind as Told;
        if (entry.leaves === 'kept') entry.leaves = third as Leaves;
      }
    }
    return { entries, faults };
  }

  /** Runs that a process has begun and not ended, but for those of some jobs. */
  openRuns(pid: number, but: readonly string[] = []): number {
    const of = (kind: string): number =>
      this.#lines().filter(([what, id = '', by]) => what === kind && by === String(pid) && !but.includes(id))
        .length;
    return of('start') - of('end');
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** One call, so that a line of one process never stands within another's. */
  #write(line: string): void {
    appendFileSync(this.file, `${line}\n`);
  }

  #lines(): string[][] {
    try {
      return readFileSync(this.file, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .map(line => line.split(' '));
    } catch {
      return [];
    }
  }
}
