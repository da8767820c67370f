import { describe, expect, it } from 'vitest';
import { shownRate, storedRate } from '../lib/rate.ts';

describe('storedRate', () => {
  it.each([
    ['10/m', '10/60000'],
    ['60/s', '60/1000'],
    ['5/30s', '5/30000'],
    ['1000/h', '1000/3600000'],
    ['1/d', '1/86400000'],
    ['24/24h', '24/86400000'],
    ['3/250ms', '3/250'],
    ['1/ms', '1/1'],
    ['007/1s', '7/1000'],
    ['100000/d', '100000/86400000'],
  ])('makes %s a number and milliseconds', (rate, stored) => {
    expect(storedRate(rate)).toBe(stored);
  });

  it.each([
    ['a unit that is none', '10/fortnight', TypeError],
    ['no unit', '10/60', TypeError],
    ['no number', '/m', TypeError],
    ['no slash', '10m', TypeError],
    ['a part of a job', '1.5/m', TypeError],
    ['a part of a time', '1/1.5m', TypeError],
    ['less than nothing', '-1/m', TypeError],
    ['spaces', '10 / m', TypeError],
    ['a second line', '10/m\n', TypeError],
    ['nothing', '', TypeError],
    ['a number', 10, TypeError],
    ['null', null, TypeError],
    ['an array', ['10/m'], TypeError],
    ['no job at all', '0/m', RangeError],
    ['no time at all', '10/0s', RangeError],
    ['more than a day', '10/25h', RangeError],
    ['much more than a day', '1/999999999d', RangeError],
    ['more jobs than are counted', '100001/d', RangeError],
  ])('refuses %s', (_, rate, kind) => {
    const said = typeof rate === 'number' ? 'not 10' : 'not ';
    expect(() => storedRate(rate)).toThrow(kind);
    expect(() => storedRate(rate)).toThrow(said);
    expect(() => storedRate(rate, 'rateLimits.mails')).toThrow(
      /^rateLimits\.mails must be a number of 1 to 100000, a slash, and a time of up to a day: '10\/m'/,
    );
  });
});

describe('shownRate', () => {
  it.each([
    ['10/60000', '10/m'],
    ['5/30000', '5/30s'],
    ['1/86400000', '1/d'],
    ['1/7200000', '1/2h'],
    ['3/250', '3/250ms'],
    ['3/1', '3/ms'],
    ['7/61000', '7/61s'],
  ])('makes %s what can be handed in again', (stored, shown) => {
    expect(shownRate(stored)).toBe(shown);
    expect(storedRate(shown)).toBe(stored);
  });

  it.each(['', 'x', '10', '10/m', '10/0', '-1/60000'])('makes nothing of %j, which is none', stored => {
    expect(shownRate(stored)).toBeUndefined();
  });
});
