import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration, storedDuration, storedTtl } from '../lib/duration.ts';

const SECONDS = [
  [30, 30],
  [0, 0],
  [2.5, 2.5],
  ['30', 30],
  ['500ms', 0.5],
  ['30s', 30],
  ['5m', 300],
  ['1h', 3600],
  ['2d', 172_800],
  ['1.5h', 5400],
] as const;

describe('parseDuration, validation', () => {
  it.each([
    '',
    ' ',
    'soon',
    '5 m',
    '5M',
    '5w',
    '-5m',
    '1_000',
    '0x10',
    '5m30s',
    -1,
    '-1',
    -0.5,
    NaN,
    Infinity,
    'Infinity',
  ])('refuses %j and quotes it', value => {
    const quoted = typeof value === 'string' ? JSON.stringify(value) : String(value);
    expect(() => parseDuration(value, 'timeout')).toThrow(RangeError);
    expect(() => parseDuration(value, 'timeout')).toThrow(`not ${quoted}`);
  });

  it.each([
    [null, 'null'],
    [undefined, 'undefined'],
    [true, 'true'],
    [5n, '5n'],
    [[5], 'an array'],
    [new Date(0), 'an object (Date)'],
  ])('refuses what is neither a number nor a text: %o', (value, quoted) => {
    expect(() => parseDuration(value, 'timeout')).toThrow(TypeError);
    expect(() => parseDuration(value, 'timeout')).toThrow(`not ${quoted}`);
  });

  it('names the option and the forms that are accepted', () => {
    expect(() => parseDuration('soon', 'resultTtl')).toThrow(
      /^resultTtl must be seconds \(30\), .*'500ms', '30s', '5m', '1h', '2d'/,
    );
  });

  it('refuses what is longer than ten years', () => {
    expect(parseDuration('3650d', 'ttl')).toBe(3650 * 86_400);
    expect(() => parseDuration('3651d', 'ttl')).toThrow(/at most 10 years, not "3651d"/);
  });

  it('says that -1 means never only where it does', () => {
    expect(() => parseDuration('soon', 'ttl', true)).toThrow('-1 for never');
    expect(() => parseDuration('soon', 'ttl')).not.toThrow('-1 for never');
  });
});

describe('parseDuration', () => {
  it.each(SECONDS)('reads %j as %d seconds', (value, seconds) => {
    expect(parseDuration(value, 'ttl')).toBe(seconds);
  });

  it.each([-1, '-1'])('hands %j through where it means never', value => {
    expect(parseDuration(value, 'ttl', true)).toBe(-1);
  });

  it('takes no other number below 0 for never', () => {
    expect(() => parseDuration(-2, 'ttl', true)).toThrow(RangeError);
    expect(() => parseDuration('-1s', 'ttl', true)).toThrow(RangeError);
  });
});

describe('storedDuration', () => {
  it.each([0, 0.999, '500ms', '999ms', '0s', '0.01m'])('refuses %j: less than a second', value => {
    expect(() => storedDuration(value, 'timeout')).toThrow(RangeError);
    expect(() => storedDuration(value, 'timeout')).toThrow(
      `timeout must be at least 1 second, or -1 for never, not ${JSON.stringify(value)}`,
    );
  });

  it.each([-1, '-1'])('takes %j for never only where that has a meaning', value => {
    expect(() => storedDuration(value, 'timeout', false)).toThrow(RangeError);
    expect(() => storedDuration(value, 'timeout', false)).toThrow(`not ${JSON.stringify(value)}`);
    expect(() => storedDuration(0, 'timeout', false)).toThrow('timeout must be at least 1 second, not 0');
  });

  it.each([
    [1, 1],
    ['1000ms', 1],
    [1.2, 2],
    ['1001ms', 2],
    ['2.5s', 3],
    [-1, -1],
    ['-1', -1],
  ])('makes whole seconds of %j: %d', (value, stored) => {
    expect(storedDuration(value, 'timeout')).toBe(stored);
  });

  it('adds no second to a text that is a whole number of seconds', () => {
    const units = fc.constantFrom(['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000], ['d', 86_400_000]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), units, (hundredths, [unit, ms]) => {
        const exact = (hundredths * ms) / 100;
        fc.pre(exact >= 1000 && exact % 1000 === 0);
        expect(storedDuration(`${hundredths / 100}${unit}`, 'ttl')).toBe(exact / 1000);
      }),
      { numRuns: 2000, examples: [[110, ['h', 3_600_000]]] },
    );
  });

  it('is a whole number, never below what was asked, for whatever is accepted', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e8, noNaN: true }), seconds => {
        const stored = storedDuration(seconds, 'ttl');
        expect(Number.isInteger(stored)).toBe(true);
        expect(stored - seconds).toBeGreaterThanOrEqual(0);
        expect(stored - seconds).toBeLessThan(1);
      }),
    );
  });
});

describe('storedTtl', () => {
  it.each([0, '0', '0s', '0ms'])('takes %j for "do not keep"', value => {
    expect(storedTtl(value, 'resultTtl')).toBe(0);
  });

  it.each([
    [-1, -1],
    [500, 500],
    ['5m', 300],
    ['1.5s', 2],
  ])('is otherwise as storedDuration: %j', (value, stored) => {
    expect(storedTtl(value, 'resultTtl')).toBe(stored);
  });

  it('refuses a part of a second', () => {
    expect(() => storedTtl('500ms', 'resultTtl')).toThrow(
      'resultTtl must be at least 1 second, or -1 for never, not "500ms"',
    );
  });
});
