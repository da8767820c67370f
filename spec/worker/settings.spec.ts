import { describe, expect, it } from 'vitest';
import type { FunctionTable } from '../../lib/functions.ts';
import { checkWorker, type WorkerSettings } from '../../lib/worker/settings.ts';

const functions: FunctionTable = new Map([['f', (): number => 1]]);
const check = (options: object, queues: readonly string[] = ['high', 'low']): WorkerSettings =>
  checkWorker(queues, { functions, ...options }, () => {});

describe('checkWorker', () => {
  it('takes queues in their order, without limits, and nothing ahead, by default', () => {
    expect(check({})).toMatchObject({
      strategy: 'default',
      weights: undefined,
      rates: new Map(),
      prefetch: undefined,
      concurrency: 1,
    });
  });

  it('takes weights as a wish for their strategy', () => {
    const settings = check({ weights: { high: 5 } });
    expect(settings.strategy).toBe('weighted');
    expect(settings.weights).toEqual(new Map([['high', 5]]));
    expect(check({ weights: { low: 1 }, dequeueStrategy: 'weighted' }).strategy).toBe('weighted');
  });

  it('takes rates as Redis holds them', () => {
    expect(check({ rateLimits: { low: '10/m', high: '5/30s' } }).rates).toEqual(
      new Map([
        ['low', '10/60000'],
        ['high', '5/30000'],
      ]),
    );
  });

  it('takes objects without a value, and without a prototype', () => {
    expect(check({ rateLimits: {} }).rates).toEqual(new Map());
    expect(check({ weights: {} }).weights).toEqual(new Map());
    const bare = Object.assign(Object.create(null) as object, { high: 2 });
    expect(check({ weights: bare }).weights).toEqual(new Map([['high', 2]]));
  });

  const ACCEPTED =
    "must be a number of 1 to 100000, a slash, and a time of up to a day: '10/m', '60/s', '5/30s', not";
  it.each<readonly [string, object, typeof TypeError | typeof RangeError, string]>([
    ['a rate of none', { rateLimits: { low: '0/m' } }, RangeError, `rateLimits.low ${ACCEPTED} "0/m"`],
    [
      'a rate by an odd time',
      { rateLimits: { low: '10/fortnight' } },
      TypeError,
      `rateLimits.low ${ACCEPTED} "10/fortnight"`,
    ],
    ['a rate that is a number', { rateLimits: { low: 10 } }, TypeError, `rateLimits.low ${ACCEPTED} 10`],
    [
      'a rate of another queue',
      { rateLimits: { mails: '10/m' } },
      TypeError,
      'rateLimits names the queue "mails", and the worker listens on high, low',
    ],
    ['rates in a Map', { rateLimits: new Map([['low', '1/m']]) }, TypeError, 'not an object (Map)'],
    [
      'one rate for all',
      { rateLimits: '10/m' },
      TypeError,
      'rateLimits must be an object with a value for each queue',
    ],
    ['null for rates', { rateLimits: null }, TypeError, 'not null'],
    [
      'a weight of another queue',
      { weights: { higj: 5 } },
      TypeError,
      'weights names the queue "higj", and the worker listens on high, low',
    ],
    [
      'a weight of 0',
      { weights: { low: 0 } },
      RangeError,
      'weights.low must be a whole number of 1 or more, not 0',
    ],
    ['half a weight', { weights: { low: 0.5 } }, RangeError, 'not 0.5'],
    [
      'a weight that is a text',
      { weights: { low: '5' } },
      TypeError,
      'weights.low must be a whole number, not "5"',
    ],
    [
      'a weight beyond what chance can be of',
      { weights: { low: 3e9 } },
      RangeError,
      'weights.low must be a whole number of 1 to 100000, not 3000000000',
    ],
    [
      'weights in a list',
      { weights: [5, 1] },
      TypeError,
      'weights must be an object with a value for each queue, not an array',
    ],
    [
      'weights beside another strategy',
      { weights: { low: 1 }, dequeueStrategy: 'random' },
      TypeError,
      `weights go with dequeueStrategy 'weighted', not "random"`,
    ],
    [
      'the weighted strategy without weights',
      { dequeueStrategy: 'weighted' },
      TypeError,
      "dequeueStrategy 'weighted' needs weights: { high: 5, low: 1 }",
    ],
    ['an unknown strategy', { dequeueStrategy: 'wieghted' }, TypeError, 'did you mean "weighted"?'],
    [
      'fewer than no job ahead',
      { prefetch: -1 },
      RangeError,
      'prefetch must be a whole number of 0 or more, not -1',
    ],
    ['half a job ahead', { prefetch: 0.5 }, RangeError, 'not 0.5'],
    ['a text for jobs ahead', { prefetch: '2' }, TypeError, 'prefetch must be a whole number, not "2"'],
  ])('refuses %s', (_, options, kind, said) => {
    expect(() => check(options)).toThrow(kind);
    expect(() => check(options)).toThrow(said);
  });
});
