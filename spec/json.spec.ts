import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DESCRIPTION_LENGTH, JSON_DEPTH } from '../lib/defaults.ts';
import { describeCall, toJson } from '../lib/json.ts';

class Point {
  readonly x = 1;
}

const sparse: unknown[] = [1];
sparse[2] = 3;

const cycle: { name: string; self?: unknown } = { name: 'c' };
cycle.self = { inner: [cycle] };

function nested(levels: number): unknown {
  let value: unknown = 'core';
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { v: value };
  return value;
}

function messageOf(value: unknown, path = 'args'): string {
  try {
    return `accepted: ${toJson(value, path)}`;
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

describe('toJson, what it refuses', () => {
  it.each<[kind: string, value: unknown, message: RegExp]>([
    ['undefined in an array', [undefined], /^args\[0\] is undefined/],
    ['undefined in an object', [{ a: { b: undefined } }], /^args\[0\]\.a\.b is undefined/],
    ['undefined itself', undefined, /^args is undefined/],
    ['NaN', [1, NaN], /^args\[1\] is NaN/],
    ['Infinity', [{ n: Infinity }], /^args\[0\]\.n is Infinity/],
    ['-Infinity', [-Infinity], /^args\[0\] is -Infinity/],
    ['BigInt', [5n], /^args\[0\] is a bigint/i],
    ['a Date', [0, { when: new Date(0) }], /^args\[1\]\.when is a Date/],
    ['a Map', [new Map()], /^args\[0\] is a Map/],
    ['a Set', [[new Set([1])]], /^args\[0\]\[0\] is a Set/],
    ['a class instance', [new Point()], /^args\[0\] is a Point/],
    ['a function', [{ f: () => 1 }], /^args\[0\]\.f is a function/],
    ['a class', [Point], /^args\[0\] is a function/],
    ['a symbol', [Symbol('s')], /^args\[0\] is a symbol/],
    ['a cycle', [cycle], /^args\[0\]\.self\.inner\[0\] is a cycle/],
    ['a gap of a sparse array', [sparse], /^args\[0\]\[1\] is undefined/],
    ['a Buffer', [Buffer.from('x')], /^args\[0\] is a Buffer/],
    ['a promise nobody awaited', [Promise.resolve(1)], /^args\[0\] is a Promise/],
    ['an Error', [new Error('x')], /^args\[0\] is an Error/],
    ['a RegExp', [/x/], /^args\[0\] is a RegExp/],
    ['a boxed number', [Object(1)], /^args\[0\] is a Number/],
    ['an object with a toJSON method', [{ toJSON: () => 1 }], /^args\[0\] is an object with a toJSON method/],
  ])('%s', (_, value, message) => {
    expect(messageOf(value)).toMatch(message);
  });

  it('an array with a toJSON method', () => {
    const value = Object.assign([1], { toJSON: () => 'something else' });
    expect(messageOf([value])).toMatch(/^args\[0\] is /);
  });

  it('what has a prototype of its own, and does not call it an object with toJSON', () => {
    const message = messageOf([Object.create({ inherited: 1 })]);
    expect(message).toMatch(/^args\[0\] is /);
    expect(message).not.toContain('toJSON');
  });

  it('names what stands under a name that is no identifier', () => {
    expect(messageOf([{ 'content-type': NaN }])).toMatch(/^args\[0\]\["content-type"\] is NaN/);
  });

  it('begins the path as it is told', () => {
    expect(messageOf({ at: new Date(0) }, 'meta')).toMatch(/^meta\.at is a Date/);
    expect(messageOf(new Date(0), 'result')).toMatch(/^result is a Date/);
  });

  it('names the first flaw where there are several', () => {
    expect(messageOf([{ a: 1, b: NaN, c: undefined }])).toMatch(/^args\[0\]\.b is NaN/);
  });

  it('what is nested too deep', () => {
    expect(messageOf(nested(JSON_DEPTH))).toMatch(/^accepted: /);
    expect(messageOf(nested(JSON_DEPTH + 1))).toMatch(/^args(\[0\]|\.v)+ is nested deeper than 500 levels$/);
  });

  it('what is nested so deep that a stack would overflow', () => {
    expect(messageOf(nested(1_000_000))).toMatch(/is nested deeper than 500 levels$/);
  });
});

describe('toJson, what it accepts', () => {
  it('is JSON.stringify for every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        expect(toJson(value, 'args')).toBe(JSON.stringify(value));
      }),
    );
  });

  it.each<[value: unknown, text: string]>([
    [null, 'null'],
    ['', '""'],
    [0, '0'],
    [Number.MAX_VALUE, '1.7976931348623157e+308'],
    [[], '[]'],
    [{}, '{}'],
    [[42, 43], '[42,43]'],
    ['\u2028 " \\ 日本', '"\u2028 \\" \\\\ 日本"'],
    ['\ud800', String.raw`"\ud800"`],
  ])('writes %j', (value, text) => {
    expect(toJson(value, 'args')).toBe(text);
  });

  it('takes an object without a prototype', () => {
    const value = Object.assign(Object.create(null) as object, { a: 1 });
    expect(toJson([value], 'args')).toBe('[{"a":1}]');
  });

  it('takes plain objects and arrays of another realm', () => {
    expect(toJson(runInNewContext('[{ a: [1] }]'), 'args')).toBe('[{"a":[1]}]');
  });

  it('refuses class instances of another realm', () => {
    expect(messageOf([runInNewContext('new Date(0)')])).toMatch(/^args\[0\] is a Date/);
    expect(messageOf([runInNewContext('new (class Point {})()')])).toMatch(/^args\[0\] is a Point/);
  });

  it('takes one object that stands in two places: no cycle', () => {
    const shared = { a: [1] };
    expect(toJson([shared, { again: shared }, shared], 'args')).toBe(
      '[{"a":[1]},{"again":{"a":[1]}},{"a":[1]}]',
    );
  });

  it('writes a key that is called __proto__', () => {
    const value: unknown = JSON.parse('{"__proto__":{"a":1}}');
    expect(toJson(value, 'args')).toBe('{"__proto__":{"a":1}}');
  });
});

describe('describeCall', () => {
  it.each<[args: readonly unknown[], kwargs: Record<string, unknown>, text: string]>([
    [[], {}, 'f()'],
    [[[42, 43]], {}, 'f([42, 43])'],
    [[1, 'two', null, true], {}, 'f(1, "two", null, true)'],
    [[{ a: 1, b: [2, { c: 3 }] }], {}, 'f({"a": 1, "b": [2, {"c": 3}]})'],
    [[], { x: 1, y: 'z' }, 'f(x=1, y="z")'],
    [[1], { x: [] }, 'f(1, x=[])'],
  ])('shows %j and %j as a person would write it', (args, kwargs, text) => {
    expect(describeCall('f', args, kwargs)).toBe(text);
  });

  it('leaves a description of the greatest length whole', () => {
    const whole = describeCall('f', ['x'.repeat(DESCRIPTION_LENGTH - 5)], {});
    expect(whole).toHaveLength(DESCRIPTION_LENGTH);
    expect(whole).toMatch(/^f\("x+"\)$/);
  });

  it('cuts one that is longer by a single character', () => {
    const cut = describeCall('f', ['x'.repeat(DESCRIPTION_LENGTH - 4)], {});
    expect(cut).toHaveLength(DESCRIPTION_LENGTH);
    expect(cut).toMatch(/^f\("x+…\)$/);
  });

  it.each<[what: string, args: readonly unknown[], kwargs: Record<string, unknown>]>([
    ['a long text', ['x'.repeat(1_000_000)], {}],
    ['many arguments', Array.from({ length: 100_000 }, (_, i) => i), {}],
    ['a long array', [Array.from({ length: 100_000 }, (_, i) => i)], {}],
    ['long names of keyword arguments', [], { ['k'.repeat(1000)]: 1, ['l'.repeat(1000)]: 2 }],
    ['deep nesting', [nested(JSON_DEPTH)], {}],
  ])('is bounded for %s', (_, args, kwargs) => {
    const text = describeCall('f', args, kwargs);
    expect(text).toHaveLength(DESCRIPTION_LENGTH);
    expect(text).toMatch(/^f\(.*…\)$/);
  });

  it('is bounded, ends with a parenthesis, and cuts no character in two, for whatever JSON', () => {
    const args = fc.array(fc.jsonValue({ stringUnit: 'binary' }));
    const kwargs = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }));
    fc.assert(
      fc.property(args, kwargs, (given, named) => {
        const text = describeCall('task', given, named);
        expect(text.length).toBeLessThanOrEqual(DESCRIPTION_LENGTH);
        expect(text.startsWith('task(')).toBe(true);
        expect(text.endsWith(')')).toBe(true);
        expect(text.isWellFormed()).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('writes control characters as escapes', () => {
    const text = describeCall('f', ['a\nb\u001b[2J'], { 'k\n': 1 });
    expect(text).not.toMatch(/[\u0000-\u001f]/);
  });
});
