import { describe, expect, it } from 'vitest';
import {
  checkCount,
  checkFlag,
  checkJobId,
  checkKnown,
  checkName,
  checkOptions,
  escapeControls,
  escapeJson,
  isJobId,
  quote,
} from '../lib/options.ts';

describe('quote', () => {
  it.each<[value: unknown, text: string]>([
    ['text', '"text"'],
    ['', '""'],
    ['say "hi"', String.raw`"say \"hi\""`],
    [30, '30'],
    [NaN, 'NaN'],
    [5n, '5n'],
    [true, 'true'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Symbol('s'), 'Symbol(s)'],
    [[1, 2], 'an array'],
    [{ a: 1 }, 'an object (Object)'],
    [new Date(0), 'an object (Date)'],
    [Object.create(null), 'an object'],
    [parseInt, 'function parseInt'],
    [
      (
        () => () =>
          1
      )(),
      'function (unnamed)',
    ],
  ])('shows %o as it was written', (value, text) => {
    expect(quote(value)).toBe(text);
  });

  it('cuts what is long', () => {
    const text = quote('x'.repeat(100_000));
    expect(text).toHaveLength(81);
    expect(text).toMatch(/^"x{79}…$/);
  });

  it('cuts a long name of a function too', () => {
    const fn = (): void => {};
    Object.defineProperty(fn, 'name', { value: 'f'.repeat(1000) });
    expect(quote(fn).length).toBeLessThanOrEqual(81);
  });

  it.each(['\n', '\r', '\u001b[31m', '\u007f', '\u009b', '\0'])(
    'lets no control character through: %j',
    text => {
      expect(quote(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      expect(quote(Symbol(text))).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    },
  );

  it('shows an object whose parts throw', () => {
    const hostile = {
      get constructor(): never {
        throw new Error('hostile');
      },
    };
    expect(quote(hostile)).toMatch(/^an object/);
  });
});

describe('escapeControls', () => {
  it('writes each control character as an escape', () => {
    expect(escapeControls('a\u001b[2Jb\u0007\u0085\n')).toBe(String.raw`a\x1b[2Jb\x07\x85\x0a`);
  });

  it('writes what turns a text around, breaks lines or is not seen as an escape', () => {
    expect(escapeControls('a\u202eb\u061cc\u2028d\ufeffe\u{e0041}f\u00adg')).toBe(
      String.raw`a\u202eb\u061cc\u2028d\ufeffe\u{e0041}f\xadg`,
    );
  });

  it('leaves every other character as it is', () => {
    const text = 'naïve 日本 👩\u200d🚀 نمی\u200cدانم \\ "';
    expect(escapeControls(text)).toBe(text);
  });
});

describe('escapeJson', () => {
  const value = { 'a\u202e': ['\u009b2J\u007f', 'b\u2028\u{e0041}\ufeff', 'naïve 日本 🙂', '\n\u001b'] };

  it.each([undefined, 2])('keeps the value, and leaves nothing that steers; indented by %s', indent => {
    const text = escapeJson(JSON.stringify(value, undefined, indent));
    expect(JSON.parse(text)).toEqual(value);
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}|\u2028/u);
    expect(text).toContain('naïve 日本 🙂');
  });
});

describe('escapeJson', () => {
  it.each([0, 2])('writes them as JSON does, which means the same, indented by %d', indent => {
    const value = { 'a\u009b\u202e': ['\u001b[2J\n\u2028', 'naïve 日本 🙂 \\ "'] };
    const text = escapeJson(JSON.stringify(value, undefined, indent));
    expect(JSON.parse(text)).toEqual(value);
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/);
    expect(text).toContain('日本 🙂');
  });
});

describe('checkKnown', () => {
  const known = ['timeout', 'ttl', 'resultTtl'];

  it('accepts a known name', () => {
    expect(() => checkKnown('ttl', known, 'option')).not.toThrow();
  });

  it.each([
    ['timout', 'timeout'],
    ['resultTTL', 'resultTtl'],
    ['result_ttl', 'resultTtl'],
    ['tl', 'ttl'],
  ])('asks of %j whether %j was meant', (name, near) => {
    expect(() => checkKnown(name, known, 'option of enqueue')).toThrow(TypeError);
    expect(() => checkKnown(name, known, 'option of enqueue')).toThrow(
      `Unknown option of enqueue "${name}": did you mean "${near}"?`,
    );
  });

  it.each([['somethingElse'], [3], [null], [['ttl']], [{}]])(
    'lists the known ones where none is near: %j',
    name => {
      expect(() => checkKnown(name, known, 'option')).toThrow(
        `Unknown option ${quote(name)}: accepted are timeout, ttl, resultTtl`,
      );
    },
  );
});

describe('checkOptions', () => {
  it('gives the object back', () => {
    const options = { a: 1 };
    expect(checkOptions(options, ['a', 'b'], 'Queue')).toBe(options);
  });

  it('takes undefined for no options', () => {
    expect(checkOptions(undefined, ['a'], 'Queue')).toEqual({});
  });

  it.each([
    [null, 'null'],
    [[], 'an array'],
    ['a', '"a"'],
    [5, '5'],
    [() => 1, 'function (unnamed)'],
  ])('refuses %o, which is no object', (value, quoted) => {
    const options = value as unknown as object;
    expect(() => checkOptions(options, ['a'], 'Queue')).toThrow(TypeError);
    expect(() => checkOptions(options, ['a'], 'Queue')).toThrow(
      `The options of Queue must be an object, not ${quoted}`,
    );
  });

  it('refuses an unknown name, whatever its value', () => {
    expect(() => checkOptions({ conection: undefined }, ['connection'], 'Queue')).toThrow(
      'Unknown option of Queue "conection": did you mean "connection"?',
    );
  });

  it.each(['__proto__', 'constructor', 'toString'])('knows no %s', name => {
    const options = JSON.parse(`{"${name}": 1}`) as object;
    expect(() => checkOptions(options, ['connection'], 'Queue')).toThrow(`Unknown option of Queue "${name}"`);
  });
});

describe('checkName', () => {
  it.each(['default', 'a', 'high.priority-2_B', '0', 'x'.repeat(128)])('accepts %j', name => {
    expect(checkName(name, 'queue name')).toBe(name);
  });

  it.each(['', ' ', 'a b', 'a:b', 'a,b', 'a/b', 'é', 'a\n', '{a}', 'x'.repeat(129)])('refuses %j', name => {
    expect(() => checkName(name, 'queue name')).toThrow(TypeError);
    expect(() => checkName(name, 'queue name')).toThrow(
      'A queue name must be 1 to 128 of A-Z a-z 0-9 _ . - and not ',
    );
  });

  it.each([
    [undefined, 'undefined'],
    [5, '5'],
    [{}, 'an object (Object)'],
  ])('refuses %o, which is no text', (name, quoted) => {
    expect(() => checkName(name, 'worker name')).toThrow(TypeError);
    expect(() => checkName(name, 'worker name')).toThrow(`and not ${quoted}`);
  });
});

describe('checkJobId', () => {
  it.each(['1', 'a-B_9', '0190a6b8-7c3e-7000-8000-000000000000', 'x'.repeat(128)])('accepts %j', id => {
    expect(checkJobId(id)).toBe(id);
    expect(isJobId(id)).toBe(true);
  });

  it.each(['', 'a.b', 'a:b', 'a b', 'a\n', 'é', 'x'.repeat(129)])('refuses %j', id => {
    expect(() => checkJobId(id)).toThrow(TypeError);
    expect(() => checkJobId(id)).toThrow('A job id must be 1 to 128 of A-Z a-z 0-9 _ - and not ');
    expect(isJobId(id)).toBe(false);
  });

  it('refuses a number, and quotes it', () => {
    expect(() => checkJobId(42)).toThrow('and not 42');
    expect(isJobId(42)).toBe(false);
  });
});

describe('checkCount', () => {
  it.each([0, 1, 7, Number.MAX_SAFE_INTEGER])('accepts %d', value => {
    expect(checkCount(value, 'limit', 0)).toBe(value);
  });

  it.each([-1, 0.5, NaN, Infinity, 2 ** 53])('refuses %d', value => {
    expect(() => checkCount(value, 'limit', 0)).toThrow(RangeError);
    expect(() => checkCount(value, 'limit', 0)).toThrow(
      `limit must be a whole number of 0 or more, not ${value}`,
    );
  });

  it('refuses what is below the least', () => {
    expect(() => checkCount(0, 'concurrency', 1)).toThrow(
      'concurrency must be a whole number of 1 or more, not 0',
    );
  });

  it.each([
    ['5', '"5"'],
    [5n, '5n'],
    [null, 'null'],
  ])('refuses %o, which is no number', (value, quoted) => {
    expect(() => checkCount(value, 'limit', 0)).toThrow(TypeError);
    expect(() => checkCount(value, 'limit', 0)).toThrow(`limit must be a whole number, not ${quoted}`);
  });
});

describe('checkFlag', () => {
  it.each([true, false])('accepts %s', value => {
    expect(checkFlag(value, 'atFront')).toBe(value);
  });

  it.each([
    [0, '0'],
    [1, '1'],
    ['true', '"true"'],
    ['', '""'],
    [null, 'null'],
    [undefined, 'undefined'],
  ])('refuses %o, which only looks like it', (value, quoted) => {
    expect(() => checkFlag(value, 'atFront')).toThrow(TypeError);
    expect(() => checkFlag(value, 'atFront')).toThrow(`atFront must be true or false, not ${quoted}`);
  });
});
