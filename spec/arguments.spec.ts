/** The types of calls that follow others: what may stand for what. */
import { describe, expectTypeOf, it } from 'vitest';
import type { Group, Job, Queue } from '../lib/index.ts';

// nothing here runs: what is specified is what compiles, and `tsc -p spec` is the judge
declare const q: Queue;
declare const number: Job<number>;
declare const text: Job<string>;
declare const unknown: Job;
declare const nothing: Job<null>;
declare const numbers: Group<number[]>;
declare const pair: Group<[number, string]>;
declare const texts: Group<string[]>;

interface User {
  readonly name: string;
  readonly tags: readonly string[];
  readonly boss?: User;
}
const add = (x: number, y: number): number => x + y;
const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);
const total = (of: { readonly total: number; readonly parts?: readonly number[] }): number => of.total;
const greet = (user: User, greeting?: string): string => `${greeting ?? 'Hello'} ${user.name}`;
const both = (of: readonly [number, string]): string => of.join();
const maybe = (x: number | null): number => x ?? 0;
const any = (...values: readonly unknown[]): number => values.length;
const length = (of: string): number => of.length;
const show = (x: number): string => String(x);
const log = (x: string): void => void x;
const seed = (): number => 1;

describe('The arguments of Queue.enqueue', () => {
  it('may be jobs that give them', () => {
    const calls = [
      () => q.enqueue(add, [number, 1]),
      () => q.enqueue(add, [number, number]),
      () => q.enqueue(sum, [[number, 1, number]]),
      () => q.enqueue(total, [{ total: number, parts: [1, number] }]),
      () => q.enqueue(maybe, [number]),
    ];
    expectTypeOf(calls).toEqualTypeOf<(() => Promise<Job<number>>)[]>();
  });

  it('may be jobs that give the whole, or a part, of what is nested', () => {
    const users = {} as Job<User>;
    const list = {} as Job<number[]>;
    const calls = [
      () => q.enqueue(greet, [users]),
      () => q.enqueue(greet, [users, text]),
      () => q.enqueue(greet, [{ name: text, tags: [text, 'x'], boss: users }]),
      () => q.enqueue(greet, [{ name: 'a', tags: texts, boss: { name: text, tags: [] } }]),
    ];
    expectTypeOf(calls).toEqualTypeOf<(() => Promise<Job<string>>)[]>();
    expectTypeOf(() => q.enqueue(sum, [list])).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('may be any job where anything is taken', () => {
    const calls = [
      () => q.enqueue(any, [number, text, unknown, nothing, numbers, { deep: [unknown] }]),
      () => q.enqueue<number>('by.name', [number, [text], { of: numbers }]),
    ];
    expectTypeOf(calls).toEqualTypeOf<(() => Promise<Job<number>>)[]>();
  });

  it('may be a group where an array is taken', () => {
    expectTypeOf(() => q.enqueue(sum, [numbers])).returns.toEqualTypeOf<Promise<Job<number>>>();
    expectTypeOf(() => q.enqueue(both, [pair])).returns.toEqualTypeOf<Promise<Job<string>>>();
  });

  it('refuse jobs that give something else', () => {
    const calls = [
      // @ts-expect-error: a text
      () => q.enqueue(add, [text, 1]),
      // @ts-expect-error: nobody knows what
      () => q.enqueue(add, [unknown, 1]),
      // @ts-expect-error: nothing
      () => q.enqueue(add, [nothing, 1]),
      // @ts-expect-error: a text among numbers
      () => q.enqueue(sum, [[number, text]]),
      // @ts-expect-error: a number, not a list of them
      () => q.enqueue(sum, [number]),
      // @ts-expect-error: a text within
      () => q.enqueue(total, [{ total: text }]),
      // @ts-expect-error: a number within what is within
      () => q.enqueue(greet, [{ name: 'a', tags: [number] }]),
      // @ts-expect-error: perhaps null
      () => q.enqueue(add, [{} as Job<number | null>, 1]),
      // @ts-expect-error: y is missing
      () => q.enqueue(add, [number]),
    ];
    expectTypeOf(calls).toBeArray();
  });

  it('refuse groups that give something else', () => {
    const calls = [
      // @ts-expect-error: texts
      () => q.enqueue(sum, [texts]),
      // @ts-expect-error: one number is taken
      () => q.enqueue(add, [numbers, 1]),
      // @ts-expect-error: two of them, of which one is a text
      () => q.enqueue(sum, [pair]),
      // @ts-expect-error: any number of them
      () => q.enqueue(both, [texts]),
    ];
    expectTypeOf(calls).toBeArray();
  });

  it('are the same for all that puts calls on a queue', () => {
    const calls = () => [
      q.enqueueMany([[add, [number, 1]]]),
      q.group([[sum, [numbers]]]),
      q.enqueueIn('1s', add, [1, 2]),
      // @ts-expect-error: a text
      q.enqueueMany([[add, [text, 1]]]),
      // @ts-expect-error: texts
      q.group([[sum, [texts]]]),
      // @ts-expect-error: a text
      q.enqueueAt(new Date(), add, [text, 1]),
    ];
    expectTypeOf(calls).toBeFunction();
  });
});

describe('The option dependsOn', () => {
  it('takes jobs of whatever they give, groups, ids, and lists of these', () => {
    const calls = () => [
      q.enqueue(seed, [], { dependsOn: number }),
      q.enqueue(seed, [], { dependsOn: numbers }),
      q.enqueue(seed, [], { dependsOn: 'id' }),
      q.enqueue(seed, [], { dependsOn: [number, 'id', texts, nothing] }),
      q.enqueue(seed, [], { dependsOn: { jobs: [number], allowFailure: true, atFront: false } }),
      q.enqueue(add, [number, 1], { dependsOn: { allowFailure: true } }),
      // @ts-expect-error: a number
      q.enqueue(seed, [], { dependsOn: 5 }),
      // @ts-expect-error: a list in a list
      q.enqueue(seed, [], { dependsOn: [[number]] }),
      // @ts-expect-error: a job that nobody waited for
      q.enqueue(seed, [], { dependsOn: q.enqueue(seed) }),
      // @ts-expect-error: a foreign object
      q.enqueue(seed, [], { dependsOn: { id: 'a' } }),
      // @ts-expect-error: a flag
      q.enqueue(seed, [], { dependsOn: { jobs: number, allowFailure: 1 } }),
    ];
    expectTypeOf(calls).toBeFunction();
  });
});

describe('Queue.group', () => {
  it('gives what its functions give, in their order', () => {
    const call = () => q.group([[add, [1, 2]], [length, ['x']], [log, ['x']], ['by.name']]);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Group<[number, number, null, unknown]>>>();
    expectTypeOf<Group<[number, string]>['wait']>().returns.toEqualTypeOf<Promise<[number, string]>>();
  });

  it('of a list made by map gives an array', () => {
    const call = () => q.group([1, 2].map(n => [show, [n]] as const));
    expectTypeOf<Awaited<ReturnType<typeof call>>['wait']>().returns.toEqualTypeOf<Promise<string[]>>();
  });
});

describe('Queue.chain', () => {
  it('gives the last job', () => {
    const two = () =>
      q.chain([
        [add, [4, 6]],
        [add, [10]],
      ]);
    const one = () => q.chain([[show, [1]]]);
    const named = () =>
      q.chain([
        [add, [1, 2]],
        ['by.name', ['x']],
      ]);
    expectTypeOf(two).returns.toEqualTypeOf<Promise<Job<number>>>();
    expectTypeOf(one).returns.toEqualTypeOf<Promise<Job<string>>>();
    expectTypeOf(named).returns.toEqualTypeOf<Promise<Job>>();
  });

  it('is typed for eight steps', () => {
    const call = () =>
      q.chain([
        [seed],
        [add, [number]],
        [show],
        [length],
        [add, [1], { timeout: '1m' }],
        [show, []],
        [log],
        ['by.name', [1, 2]],
      ]);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job>>();
    const wrong = () =>
      q.chain([
        [seed],
        [add, [1]],
        [add, [1]],
        [add, [1]],
        [add, [1]],
        [add, [1]],
        [add, [1]],
        // @ts-expect-error: takes a text, and gets a number
        [length],
      ]);
    expectTypeOf(wrong).toBeFunction();
  });

  it('hands anything on after a name, and to what takes anything', () => {
    const after = () => q.chain([['by.name'], [add, [1]], [any, [1, 'x']]]);
    expectTypeOf(after).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('takes functions that take no argument, in any place', () => {
    const calls = [
      () => q.chain([[add, [1, 2]], [seed]]),
      () =>
        q.chain([
          [log, ['x']],
          [seed, [], { timeout: 5 }],
          [add, [1]],
        ]),
    ];
    expectTypeOf(calls).toEqualTypeOf<(() => Promise<Job<number>>)[]>();
    // @ts-expect-error: there is no place for it
    expectTypeOf(() => q.chain([[seed], [seed, [1]]])).toBeFunction();
  });

  it('refuses steps that do not fit', () => {
    const calls = [
      // @ts-expect-error: takes a text, and gets a number
      () => q.chain([[add, [1, 2]], [length]]),
      // @ts-expect-error: takes a number, and gets nothing
      () => q.chain([[log, ['x']], [show]]),
      // @ts-expect-error: y is missing
      () => q.chain([[add, [1, 2]], [add]]),
      () =>
        q.chain([
          [add, [1, 2]],
          // @ts-expect-error: the first argument is given by the step before
          [add, [1, 2]],
        ]),
      () =>
        q.chain([
          [add, [1, 2]],
          // @ts-expect-error: a text where a number is taken
          [add, ['x']],
        ]),
      () =>
        q.chain([
          // @ts-expect-error: the first step has all its arguments
          [add, [1]],
          [add, [1]],
        ]),
      // @ts-expect-error: takes no more than what it gets
      () => q.chain([[seed], [show, [1]]]),
      // @ts-expect-error: no step
      () => q.chain([add]),
      // @ts-expect-error: an option not known
      () => q.chain([[seed], [show, [], { timout: 5 }]]),
    ];
    expectTypeOf(calls).toBeArray();
  });
});
