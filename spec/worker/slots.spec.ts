import { describe, expect, it } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Run } from '../../lib/run.ts';
import { Store } from '../../lib/store.ts';
import { Slots } from '../../lib/worker/slots.ts';

// a run in a slot sends nothing
const store = new Store(Link.own('redis://127.0.0.1:1'));
const makeRun = (jobId: string): Run =>
  new Run(
    store,
    { place: 0, jobId, executionId: `n${jobId}`, fields: new Map() },
    { queue: 'q', worker: 'w', at: '' },
  );
const idsIn = (slots: Slots): string[] => slots.all().map(({ jobId }) => jobId);

describe('Slots', () => {
  it('begins empty', () => {
    const slots = new Slots();
    expect(slots.size).toBe(0);
    expect(slots.all()).toEqual([]);
  });

  it('holds what was added and not removed', () => {
    const slots = new Slots();
    const [a, b, c] = [makeRun('a'), makeRun('b'), makeRun('c')] as const;
    for (const run of [a, b, c]) slots.add(run);
    slots.remove(b);
    expect(slots.size).toBe(2);
    expect(idsIn(slots)).toEqual(['a', 'c']);
  });

  it('gives each run a slot of its own', () => {
    const slots = new Slots();
    const runs = ['a', 'b', 'c'].map(makeRun);
    for (const run of runs) slots.add(run);
    expect(runs.map(({ slot }) => slot)).toEqual([0, 1, 2]);
  });

  it('uses a freed slot again', () => {
    const slots = new Slots();
    const [a, b, c] = [makeRun('a'), makeRun('b'), makeRun('c')] as const;
    slots.add(a);
    slots.add(b);
    slots.remove(a);
    slots.add(c);
    expect(c.slot).toBe(0);
    expect(idsIn(slots)).toEqual(['c', 'b']);
  });

  it('gives a copy, so that runs may end meanwhile', () => {
    const slots = new Slots();
    for (const run of ['a', 'b', 'c'].map(makeRun)) slots.add(run);
    const seen: string[] = [];
    for (const run of slots.all()) {
      seen.push(run.jobId);
      slots.remove(run);
    }
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(slots.size).toBe(0);
  });
});
