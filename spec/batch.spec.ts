import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Batch } from '../lib/batch.ts';

/** A batch that doubles numbers and notes what it sent. */
function doubling(most = 100): { batch: Batch<number, number>; sent: (readonly number[])[] } {
  const sent: (readonly number[])[] = [];
  const batch = new Batch<number, number>(most, async items => {
    sent.push(items);
    await turn();
    return items.map(item => item * 2);
  });
  return { batch, sent };
}

describe('Batch', () => {
  it('sends what is added in one tick together, in its order', async () => {
    const { batch, sent } = doubling();
    expect(await Promise.all([1, 2, 3].map(item => batch.add(item)))).toEqual([2, 4, 6]);
    expect(sent).toEqual([[1, 2, 3]]);
  });

  it('sends nothing before the tick ends, nor where nothing was added', async () => {
    const { batch, sent } = doubling();
    const added = batch.add(1);
    expect(sent).toEqual([]);
    await added;
    await turn();
    expect(sent).toEqual([[1]]);
  });

  it('sends what is added in another tick by itself', async () => {
    const { batch, sent } = doubling();
    const first = batch.add(1);
    await turn();
    expect(await Promise.all([first, batch.add(2)])).toEqual([2, 4]);
    expect(sent).toEqual([[1], [2]]);
  });

  it('sends what timers add that are over at the same moment together, where it is told to be that late', async () => {
    const sent: (readonly number[])[] = [];
    const send = async (items: readonly number[]): Promise<readonly number[]> => {
      sent.push(items);
      return items;
    };
    const batch = new Batch<number, number>(100, send, { soon: setImmediate });
    const add = (item: number): Promise<number> =>
      new Promise(resolve => setTimeout(() => resolve(batch.add(item)), 5));
    const added = [1, 2, 3].map(add);
    // all three are over when the next turn begins
    for (const until = performance.now() + 20; performance.now() < until;);
    expect(await Promise.all(added)).toEqual([1, 2, 3]);
    expect(sent).toEqual([[1, 2, 3]]);
  });

  it('does not wait for an earlier batch that is under way', async () => {
    const waiting: (() => void)[] = [];
    const batch = new Batch<string, string>(10, async items => {
      if (items[0] === 'slow') await new Promise<void>(resolve => waiting.push(resolve));
      return items;
    });
    const slow = batch.add('slow');
    await turn();
    expect(await batch.add('fast')).toBe('fast');
    for (const go of waiting) go();
    expect(await slow).toBe('slow');
  });

  describe('with calls under way', () => {
    /** A batch that has so many calls under way, which are answered by hand. */
    async function busy(calls: number, ms: number) {
      const sent: { readonly items: readonly number[]; readonly answer: () => void }[] = [];
      const send = (items: readonly number[]): Promise<readonly number[]> =>
        new Promise(resolve => sent.push({ items, answer: () => resolve(items) }));
      const batch = new Batch<number, number>(3, send, { calm: { calls: 2, ms } });
      for (let i = 0; i < calls; i++) {
        void batch.add(-1);
        await turn();
      }
      const later = (): (readonly number[])[] => sent.slice(calls).map(({ items }) => items);
      return { batch, later, answer: () => sent[0]?.answer() };
    }

    it('sends at once where there are fewer than are waited for', async () => {
      const { batch, later } = await busy(1, 60_000);
      void batch.add(1);
      await turn();
      expect(later()).toEqual([[1]]);
    });

    it('waits for an answer where there are as many, and takes with it what is added meanwhile', async () => {
      const { batch, later, answer } = await busy(2, 60_000);
      void batch.add(1);
      await turn();
      void batch.add(2);
      await turn();
      expect(later()).toEqual([]);
      answer();
      await turn();
      expect(later()).toEqual([[1, 2]]);
    });

    it('waits for no answer where it is full', async () => {
      const { batch, later } = await busy(2, 60_000);
      void batch.add(1);
      await turn();
      void batch.addAll([2, 3, 4]);
      await turn();
      expect(later()).toEqual([[1, 2, 3]]);
    });

    it('waits no longer than it may', async () => {
      const { batch, later } = await busy(2, 20);
      void batch.add(1);
      await turn();
      expect(later()).toEqual([]);
      await expect.poll(later, { interval: 5 }).toEqual([[1]]);
    });
  });

  it('takes what is added while a batch is sent into the next', async () => {
    const sent: (readonly number[])[] = [];
    let more: Promise<number> | undefined;
    const batch = new Batch<number, number>(10, items => {
      sent.push(items);
      more ??= batch.add(2);
      return Promise.resolve(items);
    });
    expect(await batch.add(1)).toBe(1);
    expect(await more).toBe(2);
    expect(sent).toEqual([[1], [2]]);
  });

  it('sends no more at a time than it may, in order', async () => {
    const { batch, sent } = doubling(2);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(item => batch.add(item)));
    expect(answers).toEqual([2, 4, 6, 8, 10]);
    expect(sent).toEqual([[1, 2], [3, 4], [5]]);
  });

  it('asks for an item once those before it are on their way, where several are added', async () => {
    const seen: string[] = [];
    const batch = new Batch<number, number>(2, items => {
      seen.push(`sent ${items.join()}`);
      return Promise.resolve(items);
    });
    function* made(): Generator<number> {
      for (const item of [1, 2, 3, 4, 5]) {
        seen.push(`made ${item}`);
        yield item;
      }
    }
    expect(await batch.addAll(made())).toEqual([1, 2, 3, 4, 5]);
    expect(seen).toEqual([
      'made 1',
      'made 2',
      'sent 1,2',
      'made 3',
      'made 4',
      'sent 3,4',
      'made 5',
      'sent 5',
    ]);
  });

  it('makes of an answer what it is told to, whether that is a promise or not, and nothing of an Error', async () => {
    const refused = new RangeError('3 is refused');
    const batch = new Batch<number, number | Promise<number>>(10, items =>
      Promise.resolve(items.map(item => (item === 3 ? refused : item === 2 ? Promise.resolve(2) : item))),
    );
    const made: number[] = [];
    const make = (answer: number): string => {
      made.push(answer);
      return `made of ${answer}`;
    };
    const results = await Promise.allSettled([1, 2, 3].map(item => batch.addAnd(item, make)));
    expect(results).toEqual([
      { status: 'fulfilled', value: 'made of 1' },
      { status: 'fulfilled', value: 'made of 2' },
      { status: 'rejected', reason: refused },
    ]);
    expect(made.toSorted((x, y) => x - y)).toEqual([1, 2]);
  });

  it('rejects one item alone where its answer is an Error', async () => {
    const refused = new RangeError('2 is refused');
    const batch = new Batch<number, number>(10, items =>
      Promise.resolve(items.map(item => (item === 2 ? refused : item))),
    );
    const results = await Promise.allSettled([1, 2, 3].map(item => batch.add(item)));
    expect(results).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: refused },
      { status: 'fulfilled', value: 3 },
    ]);
  });

  it('waits for an answer that is a promise, and rejects as it does', async () => {
    const refused = new RangeError('2 is refused');
    const batch = new Batch<number, number | Promise<number>>(10, items =>
      Promise.resolve(items.map(item => (item === 2 ? Promise.reject(refused) : Promise.resolve(item)))),
    );
    const results = await Promise.allSettled([1, 2].map(item => batch.add(item)));
    expect(results).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: refused },
    ]);
  });

  it('rejects all of a batch that could not be sent, and no other', async () => {
    const lost = new Error('no reply');
    const batch = new Batch<number, number>(2, items =>
      items.includes(1) ? Promise.reject(lost) : Promise.resolve(items),
    );
    const results = await Promise.allSettled([1, 2, 3].map(item => batch.add(item)));
    expect(results).toEqual([
      { status: 'rejected', reason: lost },
      { status: 'rejected', reason: lost },
      { status: 'fulfilled', value: 3 },
    ]);
  });

  it('rejects where the sending throws at once', async () => {
    const batch = new Batch<number, number>(10, () => {
      throw new TypeError('at once');
    });
    await expect(batch.add(1)).rejects.toThrow('at once');
  });

  it('goes on after a batch that failed', async () => {
    let failed = false;
    const batch = new Batch<number, number>(10, items => {
      if (failed) return Promise.resolve(items);
      failed = true;
      return Promise.reject(new Error('once'));
    });
    await expect(batch.add(1)).rejects.toThrow('once');
    expect(await batch.add(2)).toBe(2);
  });

  it('ends a batch with the item that makes it heavy enough', async () => {
    const sent: (readonly string[])[] = [];
    const batch = new Batch<string, string>(
      4,
      items => {
        sent.push(items);
        return Promise.resolve(items);
      },
      { weight: { most: 5, of: item => item.length } },
    );
    const items = ['aaa', 'bb', 'c', 'dddddddd', 'e', 'f', 'g', 'h', 'i'];
    expect(await Promise.all(items.map(item => batch.add(item)))).toEqual(items);
    expect(sent).toEqual([['aaa', 'bb'], ['c', 'dddddddd'], ['e', 'f', 'g', 'h'], ['i']]);
  });
});
