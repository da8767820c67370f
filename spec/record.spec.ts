import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { INFLATE_LIMIT } from '../lib/defaults.ts';
import { InvalidJobError } from '../lib/errors.ts';
import {
  callOf,
  errorTextOf,
  isPythons,
  metaOf,
  statusOf,
  textOf,
  timeOf,
  toFields,
  wholeNumberOf,
  type Fields,
} from '../lib/record.ts';

const ID = 'job-1';

function fieldsOf(values: Readonly<Record<string, string | Buffer>>): Fields {
  return new Map(Object.entries(values).map(([name, value]) => [name, Buffer.from(value)]));
}

function callIn(data: string | Buffer): ReturnType<typeof callOf> {
  return callOf(ID, fieldsOf({ data }));
}

function refusalOf(read: () => unknown): InvalidJobError {
  try {
    read();
  } catch (error) {
    if (error instanceof InvalidJobError) return error;
    throw error;
  }
  throw new Error('It was accepted');
}

describe('callOf', () => {
  const text = '["http.get",null,["http://127.0.0.1/",{"a":[1]}],{"timeout":5}]';
  const call = {
    functionName: 'http.get',
    args: ['http://127.0.0.1/', { a: [1] }],
    kwargs: { timeout: 5 },
  };

  it('reads plain JSON, as we write it', () => {
    expect(callIn(text)).toEqual(call);
  });

  it('reads zlib, as Python writes it', () => {
    expect(callIn(deflateSync(text))).toEqual(call);
  });

  it.each([0, 1, 9])('reads zlib of level %d', level => {
    expect(callIn(deflateSync(text, { level }))).toEqual(call);
  });

  it('reads text that was not sent yet', () => {
    expect(callOf(ID, new Map([['data', text]]))).toEqual(call);
  });

  it('reads every character', () => {
    const value = 'naïve 日本 🙂 \u2028 \\ "';
    expect(callIn(JSON.stringify(['f', null, [value], {}])).args).toEqual([value]);
    expect(callIn(deflateSync(JSON.stringify(['f', null, [value], {}]))).args).toEqual([value]);
  });

  it('takes JSON with spaces in it, as Python’s serializer writes it', () => {
    expect(callIn('["f", null, [1, 2], {"x": 1}]')).toEqual({
      functionName: 'f',
      args: [1, 2],
      kwargs: { x: 1 },
    });
  });

  it.each([
    ['no data', {}],
    ['empty data', { data: '' }],
  ])('refuses %s', (_, values) => {
    expect(refusalOf(() => callOf(ID, fieldsOf(values))).message).toContain('no data');
  });

  it('says of a pickle that it is one, and what to do', () => {
    const pickle = Buffer.from([0x80, 0x05, 0x95, 0x00, 0x8c, 0x2e]);
    for (const data of [pickle, deflateSync(pickle)]) {
      expect(refusalOf(() => callIn(data)).message).toMatch(/pickle.*JSON serializer/);
    }
  });

  it('refuses a zlib stream that is cut off', () => {
    const whole = deflateSync(text);
    const error = refusalOf(() => callIn(whole.subarray(0, whole.length - 6)));
    expect(error.message).toMatch(/can't be decompressed: unexpected end of file/);
  });

  it('refuses what begins as zlib does and is none', () => {
    expect(refusalOf(() => callIn('xyz')).message).toMatch(/can't be decompressed/);
  });

  it('refuses what inflates to more than 64 MiB, and says so', () => {
    const bomb = deflateSync(Buffer.alloc(INFLATE_LIMIT + 1, ' '), { level: 1 });
    expect(bomb.length).toBeLessThan(1024 * 1024);
    expect(refusalOf(() => callIn(bomb)).message).toContain('inflates to more than 64 MiB');
  });

  it.each(['{', '["f",null,[],{}', 'f()', "['f', None, [], {}]", '\u0000'])(
    'refuses broken JSON: %j',
    data => {
      const error = refusalOf(() => callIn(data));
      expect(error.message).toContain('not JSON');
      expect(error.message).not.toContain('pickle');
      expect(error.cause).toBeInstanceOf(SyntaxError);
    },
  );

  it.each(['NaN', 'Infinity', '-Infinity'])(
    'refuses %s, which Python writes and JSON has no form for',
    value => {
      expect(refusalOf(() => callIn(`["f",null,[${value}],{}]`)).message).toContain('not JSON');
    },
  );

  it.each([
    '{}',
    'null',
    '"f"',
    '5',
    '[]',
    '["f"]',
    '["f",null,[]]',
    '["f",null,{},{}]',
    '["f",null,[],[]]',
    '["f",null,[],null]',
    '["f",null,"args",{}]',
    '["",null,[],{}]',
    '[null,null,[],{}]',
    '[["f"],null,[],{}]',
  ])('refuses JSON of another form: %s', data => {
    expect(refusalOf(() => callIn(data)).message).toContain('[function name, null, [args], {kwargs}]');
  });

  it('refuses the method of an object', () => {
    expect(refusalOf(() => callIn('["run",{"py/object":"x"},[],{}]')).message).toMatch(/method.*'run'/);
  });

  it('lets no control character of the data into its message', () => {
    const error = refusalOf(() => callIn('\u001b[2J\n\u0007'));
    expect(error.message).not.toMatch(/[\u0000-\u001f]/);
  });

  it('bounds its message', () => {
    const error = refusalOf(() => callIn(`${'x'.repeat(10)}${'[1,'.repeat(100_000)}`));
    expect(error.message.length).toBeLessThan(400);
  });

  it('names the job, by field and in the message', () => {
    const error = refusalOf(() => callIn('{}'));
    expect(error.jobId).toBe(ID);
    expect(error.code).toBe('RQ_INVALID_JOB');
    expect(error.message).toContain(ID);
  });
});

describe('isPythons', () => {
  it('is true of compressed data', () => {
    expect(isPythons(deflateSync('[]'))).toBe(true);
  });

  it('is false of plain data, of data on its way, and of none', () => {
    expect(isPythons(Buffer.from('[]'))).toBe(false);
    expect(isPythons('[]')).toBe(false);
    expect(isPythons(undefined)).toBe(false);
  });
});

describe('wholeNumberOf', () => {
  it.each([
    ['180', 180],
    ['0', 0],
    ['-1', -1],
    ['999999999999999', 999_999_999_999_999],
  ])('reads %s', (text, number) => {
    expect(wholeNumberOf(ID, fieldsOf({ timeout: text }), 'timeout')).toBe(number);
  });

  it('is undefined where the field is missing or, as Python writes it, empty', () => {
    expect(wholeNumberOf(ID, fieldsOf({}), 'timeout')).toBeUndefined();
    expect(wholeNumberOf(ID, fieldsOf({ timeout: '' }), 'timeout')).toBeUndefined();
  });

  it.each(['5m', '2.5', '1e3', ' 5', '5\n', '+5', '0x10', 'NaN', '--1', '9'.repeat(20)])(
    'refuses %j',
    text => {
      const error = refusalOf(() => wholeNumberOf(ID, fieldsOf({ timeout: text }), 'timeout'));
      expect(error.message).toContain(`timeout is not a whole number: ${JSON.stringify(text)}`);
      expect(error.jobId).toBe(ID);
    },
  );

  it('names the job, the field and the value', () => {
    const error = refusalOf(() => wholeNumberOf(ID, fieldsOf({ result_ttl: '5m' }), 'result_ttl'));
    expect(error.message).toContain('result_ttl is not a whole number: "5m"');
    expect(error.message).toContain(ID);
  });
});

describe('timeOf', () => {
  it.each([
    ['2026-11-20T09:22:23.123456Z', '2026-11-20T09:22:23.123Z'],
    ['2026-11-20T09:22:23.000000Z', '2026-11-20T09:22:23.000Z'],
    ['2026-11-20T09:22:23.5Z', '2026-11-20T09:22:23.500Z'],
    ['2026-11-20T09:22:23.123Z', '2026-11-20T09:22:23.123Z'],
    ['2026-11-20T09:22:23Z', '2026-11-20T09:22:23.000Z'],
  ])('reads %s', (text, time) => {
    expect(timeOf(fieldsOf({ created_at: text }), 'created_at')?.toISOString()).toBe(time);
  });

  it('is undefined where the field is missing or empty', () => {
    expect(timeOf(fieldsOf({}), 'ended_at')).toBeUndefined();
    expect(timeOf(fieldsOf({ ended_at: '' }), 'ended_at')).toBeUndefined();
  });

  it.each(['soon', 'None', '1763630543', '5', '2026-13-40T00:00:00Z'])('reads no time from %j', text => {
    expect(timeOf(fieldsOf({ ended_at: text }), 'ended_at')).toBeUndefined();
  });
});

describe('metaOf', () => {
  it('reads a JSON object', () => {
    expect(metaOf(fieldsOf({ meta: '{"user": 5, "tags": ["a"]}' }))).toEqual({ user: 5, tags: ['a'] });
  });

  it.each(['', 'null', '[]', '5', '"x"', '{', 'NaN'])('reads %j as an empty one', text => {
    expect(metaOf(fieldsOf({ meta: text }))).toEqual({});
  });

  it('reads a missing one as an empty one, a new one each time', () => {
    const meta = metaOf(fieldsOf({}));
    meta['changed'] = true;
    expect(metaOf(fieldsOf({}))).toEqual({});
  });
});

describe('textOf and statusOf', () => {
  it('give text, and undefined for what is missing or empty', () => {
    const fields = fieldsOf({ description: 'naïve', status: 'started', origin: '' });
    expect(textOf(fields, 'description')).toBe('naïve');
    expect(textOf(fields, 'origin')).toBeUndefined();
    expect(textOf(fields, 'worker_name')).toBeUndefined();
    expect(statusOf(fields)).toBe('started');
  });

  it('hand a status of Python’s master through', () => {
    expect(statusOf(fieldsOf({ status: 'rate_limited' }))).toBe('rate_limited');
  });
});

describe('toFields', () => {
  it('reads a flat reply of names and values, bytes as they are', () => {
    const bytes = Buffer.from([0x78, 0x9c, 0xff, 0x00]);
    const fields = toFields([Buffer.from('data'), bytes, Buffer.from('status'), Buffer.from('queued')]);
    expect(fields.get('data')).toEqual(bytes);
    expect(fields.get('status')).toEqual(Buffer.from('queued'));
    expect(fields.get('origin')).toBeUndefined();
  });

  it('has no field of an object’s own names', () => {
    expect(toFields([]).get('constructor')).toBeUndefined();
  });
});

describe('errorTextOf', () => {
  it('reads plain text, as we write it', () => {
    expect(errorTextOf(Buffer.from('RangeError: naïve'))).toBe('RangeError: naïve');
    expect(errorTextOf('RangeError: no')).toBe('RangeError: no');
  });

  it('reads zlib, as Python writes it', () => {
    expect(errorTextOf(deflateSync('Traceback (most recent call last):\n…'))).toBe(
      'Traceback (most recent call last):\n…',
    );
  });

  it('reads plain text that begins as zlib does', () => {
    expect(errorTextOf(Buffer.from('xyz went wrong'))).toBe('xyz went wrong');
  });

  it('is undefined where there is none', () => {
    expect(errorTextOf(undefined)).toBeUndefined();
    expect(errorTextOf('')).toBeUndefined();
    expect(errorTextOf(Buffer.alloc(0))).toBeUndefined();
  });
});
