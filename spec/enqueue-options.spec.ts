import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ENQUEUE_OPTIONS,
  checkEnqueueOptions,
  objectJson,
  queueDefaults,
  type EnqueueOptions,
} from '../lib/enqueue-options.ts';
import { check, type Prepared } from '../lib/prepare.ts';

const DEFAULTS = queueDefaults(undefined, undefined);
const UUID_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The fields of a job, as they will stand in its hash. */
function fieldsOf({ job }: Prepared): Record<string, string> {
  const { data, description, settings } = job;
  const fields: Record<string, string> = { data, description };
  for (let i = 0; i < settings.length; i += 2) fields[settings[i] ?? ''] = settings[i + 1] ?? '';
  return fields;
}

function prepared(options?: EnqueueOptions, args: readonly unknown[] = [1]): Prepared {
  return check('f', args, options, DEFAULTS)();
}

const fields = (options?: EnqueueOptions): Record<string, string> => fieldsOf(prepared(options));

describe('check, validation', () => {
  it.each<[options: unknown, kind: ErrorConstructor, said: string]>([
    [null, TypeError, 'The options of enqueue must be an object, not null'],
    ['5m', TypeError, 'The options of enqueue must be an object, not "5m"'],
    [[], TypeError, 'The options of enqueue must be an object, not an array'],
    [{ jobId: '' }, TypeError, 'and not ""'],
    [{ jobId: 'a.b' }, TypeError, 'and not "a.b"'],
    [{ jobId: 42 }, TypeError, 'and not 42'],
    [{ jobId: null }, TypeError, 'and not null'],
    [{ timeout: 'soon' }, RangeError, 'timeout must be'],
    [{ timeout: 'soon' }, RangeError, 'not "soon"'],
    [{ timeout: 0 }, RangeError, 'timeout must be at least 1 second, or -1 for never, not 0'],
    [{ timeout: '500ms' }, RangeError, 'not "500ms"'],
    [{ timeout: -2 }, RangeError, 'not -2'],
    [{ timeout: null }, TypeError, 'not null'],
    [{ ttl: '0s' }, RangeError, 'ttl must be at least 1 second, or -1 for never, not "0s"'],
    [{ ttl: NaN }, RangeError, 'not NaN'],
    [{ ttl: {} }, TypeError, 'not an object (Object)'],
    [{ resultTtl: 0.5 }, RangeError, 'resultTtl must be at least 1 second, or -1 for never, not 0.5'],
    [{ resultTtl: '-5' }, RangeError, 'not "-5"'],
    [{ resultTtl: true }, TypeError, 'not true'],
    [{ failureTtl: Infinity }, RangeError, 'not Infinity'],
    [{ failureTtl: 5n }, TypeError, 'failureTtl must be'],
    [{ failureTtl: 5n }, TypeError, 'not 5n'],
    [{ limit: 'acme' }, TypeError, 'limit must be { key, concurrency }, not "acme"'],
    [{ limit: null }, TypeError, 'limit must be { key, concurrency }, not null'],
    [{ limit: ['acme', 2] }, TypeError, 'limit must be { key, concurrency }, not an array'],
    [
      { limit: { concurrency: 2 } },
      TypeError,
      'A limit.key must be 1 to 128 of A-Z a-z 0-9 _ . - and not undefined',
    ],
    [{ limit: { key: '', concurrency: 2 } }, TypeError, 'and not ""'],
    [{ limit: { key: 'a:b', concurrency: 2 } }, TypeError, 'and not "a:b"'],
    [{ limit: { key: 'acme' } }, TypeError, 'limit.concurrency must be a whole number, not undefined'],
    [
      { limit: { key: 'acme', concurrency: 0 } },
      RangeError,
      'limit.concurrency must be a whole number of 1 or more, not 0',
    ],
    [{ limit: { key: 'acme', concurrency: '2' } }, TypeError, 'not "2"'],
    [{ limit: { key: 'acme', concurency: 2 } }, TypeError, 'did you mean "concurrency"?'],
    [{ description: '' }, TypeError, 'description must be a text of at least one character, not ""'],
    [{ description: 5 }, TypeError, 'not 5'],
    [{ description: null }, TypeError, 'not null'],
    [{ meta: null }, TypeError, 'meta must be an object, not null'],
    [{ meta: [1] }, TypeError, 'meta must be an object, not an array'],
    [{ meta: 'x' }, TypeError, 'meta must be an object, not "x"'],
    [{ meta: { a: { b: new Set() } } }, TypeError, 'meta.a.b is a Set'],
    [{ meta: new Map() }, TypeError, 'meta is a Map'],
    [{ kwargs: null }, TypeError, 'kwargs must be an object, not null'],
    [{ kwargs: [] }, TypeError, 'kwargs must be an object, not an array'],
    [{ kwargs: { x: undefined } }, TypeError, 'kwargs.x is undefined'],
    [{ kwargs: { x: [NaN] } }, TypeError, 'kwargs.x[0] is NaN'],
    [{ atFront: 1 }, TypeError, 'atFront must be true or false, not 1'],
    [{ atFront: 'yes' }, TypeError, 'not "yes"'],
    [{ atFront: null }, TypeError, 'not null'],
  ])('refuses %o and quotes what came', (options, kind, said) => {
    expect(() => prepared(options as EnqueueOptions)).toThrow(kind);
    expect(() => prepared(options as EnqueueOptions)).toThrow(said);
  });

  it.each([
    ['timout', 'timeout'],
    ['result_ttl', 'resultTtl'],
    ['resultTTL', 'resultTtl'],
    ['jobID', 'jobId'],
    ['at_front', 'atFront'],
    ['descripton', 'description'],
  ])('asks of the unknown option %j whether %j was meant', (name, near) => {
    expect(() => prepared({ [name]: 5 })).toThrow(TypeError);
    expect(() => prepared({ [name]: 5 })).toThrow(
      `Unknown option of enqueue "${name}": did you mean "${near}"?`,
    );
  });

  it('lists the options where none is near', () => {
    expect(() => prepared({ ['somethingElse']: 5 } as EnqueueOptions)).toThrow(
      `accepted are ${ENQUEUE_OPTIONS.join(', ')}`,
    );
  });

  it.each<[args: unknown, quoted: string]>([
    ['x', '"x"'],
    [5, '5'],
    [null, 'null'],
    [{ length: 1 }, 'an object (Object)'],
    [new Set(), 'an object (Set)'],
  ])('refuses args that are no array: %o', (args, quoted) => {
    const call = (): Prepared => check('f', args as unknown[], undefined, DEFAULTS)();
    expect(call).toThrow(TypeError);
    expect(call).toThrow(`args must be an array, not ${quoted}`);
  });

  it('refuses args that are not JSON, with the path, with options and without', () => {
    const args = [1, { when: new Date(0) }];
    for (const options of [undefined, {}]) {
      expect(() => prepared(options, args)).toThrow(TypeError);
      expect(() => prepared(options, args)).toThrow('args[1].when is a Date');
    }
  });
});

describe('check', () => {
  it('writes data, description and timeout, and nothing else, without options', () => {
    const expected = { data: '["f",null,[1],{}]', description: 'f(1)', timeout: '180' };
    expect(fields()).toEqual(expected);
    expect(fields({})).toEqual(expected);
  });

  it('takes an option that is undefined for one that is not given', () => {
    const options = Object.fromEntries(ENQUEUE_OPTIONS.map(name => [name, undefined]));
    expect(fields(options)).toEqual(fields());
  });

  it('writes each option in RQ’s field, durations as whole seconds', () => {
    expect(
      fields({
        timeout: '5m',
        ttl: '1.5s',
        resultTtl: '1h',
        failureTtl: '2d',
        description: 'adds',
        meta: { user: 5 },
        kwargs: { x: 1 },
      }),
    ).toEqual({
      data: '["f",null,[1],{"x":1}]',
      description: 'adds',
      timeout: '300',
      ttl: '2',
      result_ttl: '3600',
      failure_ttl: '172800',
      meta: '{"user":5}',
    });
  });

  it('writes -1 for never', () => {
    expect(fields({ timeout: -1, resultTtl: -1, failureTtl: '-1' })).toMatchObject({
      timeout: '-1',
      result_ttl: '-1',
      failure_ttl: '-1',
    });
  });

  it('writes 0 for what is not to be kept', () => {
    expect(fields({ resultTtl: 0, failureTtl: '0s' })).toMatchObject({ result_ttl: '0', failure_ttl: '0' });
  });

  it('writes no ttl where it is never, and lets no job expire', () => {
    const given = prepared({ ttl: -1 });
    expect(fieldsOf(given)).not.toHaveProperty('ttl');
    expect(given.job.ttl).toBe(0);
    expect(prepared({ ttl: '5m' }).job.ttl).toBe(300);
  });

  it('takes the queue’s defaults where the call does not say', () => {
    const defaults = queueDefaults('1m', '1h');
    expect(fieldsOf(check('f', [], undefined, defaults)())).toMatchObject({
      timeout: '60',
      result_ttl: '3600',
    });
    expect(fieldsOf(check('f', [], { description: 'd' }, defaults)())).toMatchObject({
      timeout: '60',
      result_ttl: '3600',
    });
    expect(fieldsOf(check('f', [], { timeout: 5, resultTtl: 0 }, defaults)())).toMatchObject({
      timeout: '5',
      result_ttl: '0',
    });
  });

  it('describes a call with keyword arguments', () => {
    expect(fields({ kwargs: { x: 'y' } })['description']).toBe('f(1, x="y")');
  });

  it('gives the call as it will be read', () => {
    expect(prepared({ kwargs: { x: 1 } }, [[42, 43]]).call).toEqual({
      functionName: 'f',
      args: [[42, 43]],
      kwargs: { x: 1 },
    });
    expect(prepared().call).toEqual({ functionName: 'f', args: [1], kwargs: {} });
  });

  it('puts a job at the front only when told to', () => {
    expect(prepared().job.atFront).toBe(false);
    expect(prepared({ atFront: false }).job.atFront).toBe(false);
    expect(prepared({ atFront: true }).job.atFront).toBe(true);
  });

  it('makes ids: uuid v7, each of its own', () => {
    const ids = Array.from({ length: 5000 }, () => prepared().job.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(id => UUID_7.test(id))).toBe(true);
  });

  it('tells a resend from a second call only where the caller chose the id', () => {
    expect(prepared().job.enqueueId).toBe('');
    expect(prepared({ timeout: 5 }).job.enqueueId).toBe('');
    const [first, second] = [prepared({ jobId: 'mine' }).job, prepared({ jobId: 'mine' }).job];
    expect(first.id).toBe('mine');
    expect(first.enqueueId).not.toBe('');
    expect(second.enqueueId).not.toBe(first.enqueueId);
  });

  it('writes no field that is empty, and each but once, whatever is given', () => {
    const duration = fc.oneof(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom('1s', '5m', -1, '1500ms'));
    const json = fc.dictionary(fc.string(), fc.jsonValue());
    const options = fc.record(
      {
        jobId: fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
        timeout: duration,
        ttl: duration,
        resultTtl: fc.oneof(duration, fc.constant(0)),
        failureTtl: fc.oneof(duration, fc.constant(0)),
        description: fc.string({ minLength: 1 }),
        meta: json,
        kwargs: json,
        atFront: fc.boolean(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), options, (args, given) => {
        const { job } = prepared(given, args);
        const { data, description, settings } = job;
        const names = ['data', 'description', ...settings.filter((_, i) => i % 2 === 0)];
        expect(settings.length % 2).toBe(0);
        expect([data, description, ...settings]).not.toContain('');
        expect(new Set(names).size).toBe(names.length);
        expect(names).toContain('timeout');
        for (const name of ['timeout', 'ttl', 'result_ttl', 'failure_ttl']) {
          expect(fieldsOf(prepared(given, args))[name] ?? '-1').toMatch(/^(-1|\d+)$/);
        }
      }),
    );
  });
});

describe('checkEnqueueOptions', () => {
  it('gives the options back', () => {
    const options = { timeout: 5 };
    expect(checkEnqueueOptions(options)).toBe(options);
  });
});

describe('queueDefaults', () => {
  it('is RQ’s 180 s, and leaves the result’s time to the worker', () => {
    expect(queueDefaults(undefined, undefined)).toEqual({
      timeout: 180,
      resultTtl: undefined,
      settings: ['timeout', '180'],
    });
  });

  it('reads durations', () => {
    expect(queueDefaults('5m', 0)).toEqual({
      timeout: 300,
      resultTtl: 0,
      settings: ['timeout', '300', 'result_ttl', '0'],
    });
  });

  it('names the option it refuses', () => {
    expect(() => queueDefaults(0, undefined)).toThrow('defaultTimeout must be at least 1 second');
    expect(() => queueDefaults(undefined, 'soon')).toThrow(/^defaultResultTtl must be .* not "soon"$/);
  });
});

describe('objectJson', () => {
  it('is the JSON text of an object', () => {
    expect(objectJson({ a: [1] }, 'meta')).toBe('{"a":[1]}');
  });
});
