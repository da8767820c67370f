import { describe, expect, it } from 'vitest';
import { checkPattern, checkTimezone, nextTick } from '../lib/cron-pattern.ts';

/** The first so many ticks after a moment, in UTC. */
function ticks(pattern: string, timezone: string, after: string, count: number): string[] {
  const found: string[] = [];
  let at = Date.parse(after) / 1000;
  for (let i = 0; i < count; i++) {
    at = nextTick(pattern, timezone, at) ?? NaN;
    found.push(new Date(at * 1000).toISOString().replace('.000', ''));
  }
  return found;
}

describe('nextTick', () => {
  it.each([
    ['0 9 * * 1-5', 'UTC', '2026-11-20T09:00:00Z', ['2026-11-23T09:00:00Z', '2026-11-24T09:00:00Z']],
    ['*/15 * * * *', 'UTC', '2026-11-20T09:50:00Z', ['2026-11-20T10:00:00Z', '2026-11-20T10:15:00Z']],
    ['*/20 * * * * *', 'UTC', '2026-11-20T09:59:50Z', ['2026-11-20T10:00:00Z', '2026-11-20T10:00:20Z']],
    ['@daily', 'America/New_York', '2026-11-20T09:00:00Z', ['2026-11-21T05:00:00Z', '2026-11-22T05:00:00Z']],
    ['0 0 29 2 *', 'UTC', '2026-11-20T09:00:00Z', ['2028-02-29T00:00:00Z', '2032-02-29T00:00:00Z']],
    ['0 9 * * MON', 'Asia/Kolkata', '2026-11-20T09:00:00Z', ['2026-11-23T03:30:00Z', '2026-11-30T03:30:00Z']],
  ])('gives those of %s in %s', (pattern, timezone, after, expected) => {
    expect(ticks(pattern, timezone, after, expected.length)).toEqual(expected);
  });

  it('is after the moment, never at it, and in whole seconds', () => {
    const second = Date.parse('2026-11-20T09:00:00Z') / 1000;
    expect(nextTick('* * * * * *', 'UTC', second)).toBe(second + 1);
    expect(nextTick('* * * * * *', 'UTC', second + 0.999)).toBe(second + 1);
    expect(nextTick('0 9 * * *', 'UTC', second - 0.001)).toBe(second);
  });

  it('is undefined where there is none', () => {
    expect(nextTick('0 0 30 2 *', 'UTC', 0)).toBeUndefined();
    expect(nextTick('0 0 0 1 1 * 2026', 'UTC', Date.parse('2026-06-01') / 1000)).toBeUndefined();
  });
});

describe('a change of the clocks', () => {
  it('has what falls into the missing hour come once, when that hour is over', () => {
    expect(ticks('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-28T01:30:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:30:00Z',
    ]);
  });

  it('has what falls into the double hour come once', () => {
    expect(ticks('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00Z',
      '2026-10-26T01:30:00Z',
    ]);
  });

  it('has what comes each half-hour come in both of the double hour', () => {
    expect(ticks('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:59:00Z', 5)).toEqual([
      '2026-10-25T00:00:00Z',
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:00:00Z',
      '2026-10-25T01:30:00Z',
      '2026-10-25T02:00:00Z',
    ]);
  });

  it('leaves out a missing time of a pattern that has several', () => {
    expect(ticks('30 2,14 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-28T13:30:00Z',
      '2026-03-29T12:30:00Z',
    ]);
  });

  it('keeps the hour of the day on both sides', () => {
    expect(ticks('0 9 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 2)).toEqual([
      '2026-03-28T08:00:00Z',
      '2026-03-29T07:00:00Z',
    ]);
  });
});

describe('checkPattern', () => {
  it.each([
    ['0 9 * * 1-5', '0 9 * * 1-5'],
    ['  */5   *\t* * * ', '*/5 * * * *'],
    ['*/10 * * * * *', '*/10 * * * * *'],
    ['@hourly', '@hourly'],
    ['0 0 L * *', '0 0 L * *'],
    ['0 0 9 1 1 * 2999', '0 0 9 1 1 * 2999'],
  ])('takes %j', (pattern, kept) => {
    expect(checkPattern(pattern, 'UTC')).toBe(kept);
  });

  it.each([
    [undefined, 'undefined'],
    [5, '5'],
    [{}, 'an object (Object)'],
    ['', '""'],
    ['tomorrow', '"tomorrow"'],
    ['* * * *', '"* * * *"'],
    ['61 * * * *', '"61 * * * *"'],
    ['* * * * FUNDAY', '"* * * * FUNDAY"'],
    ['*/0 * * * *', '"*/0 * * * *"'],
    ['@sometimes', '"@sometimes"'],
    ['@reboot', '"@reboot"'],
    ['2999-01-01T00:00:00', '"2999-01-01T00:00:00"'],
    [`${'0,'.repeat(200)}0 * * * *`, '"0,0,0,'],
  ])('refuses %j, and says what is accepted', (pattern, quoted) => {
    const check = (): unknown => checkPattern(pattern, 'UTC');
    expect(check).toThrow(TypeError);
    expect(check).toThrow(`not ${quoted}`);
    expect(check).toThrow("day of week ('0 9 * * 1-5')");
  });

  it('leaves no control characters in what it says', () => {
    const check = (): unknown => checkPattern('\u001b[31m1 * * * *', 'UTC');
    expect(check).toThrow(String.raw`not "\u001b[31m1 * * * *": `);
    expect(check).not.toThrow('\u001b');
  });

  it.each(['0 0 30 2 *', '0 0 31 4,6,9,11 *', '0 0 0 1 1 * 2020'])(
    'refuses %j, which never comes',
    pattern => {
      const check = (): unknown => checkPattern(pattern, 'UTC');
      expect(check).toThrow(RangeError);
      expect(check).toThrow(`The cron pattern "${pattern}" never comes`);
    },
  );
});

describe('checkTimezone', () => {
  it.each(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Asia/Kolkata'])('takes %s', zone => {
    expect(checkTimezone(zone)).toBe(zone);
  });

  it.each(['', 'Mars/Olympus', 'Berlin', '+02:00', ' UTC', 'UTC+2'])('refuses %j', zone => {
    expect(() => checkTimezone(zone)).toThrow(RangeError);
    expect(() => checkTimezone(zone)).toThrow(`such as 'Europe/Berlin' or 'UTC', not "${zone}"`);
  });

  it.each([2, null, {}])('refuses %j, which is no text', zone => {
    expect(() => checkTimezone(zone)).toThrow(TypeError);
  });
});
