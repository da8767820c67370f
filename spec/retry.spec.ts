import { afterAll, describe, expect, it } from 'vitest';
import type { EnqueueOptions } from '../lib/enqueue-options.ts';
import { InvalidJobError, RqError } from '../lib/errors.ts';
import { Queue } from '../lib/queue.ts';
import { task } from '../lib/task.ts';
import { toFields, type Fields } from '../lib/record.ts';
import {
  isNonRetryable,
  isRedeliverable,
  NonRetryableError,
  Retry,
  retryAsked,
  whatFollows,
} from '../lib/retry.ts';

class Declined extends Error {}
class CardDeclined extends Declined {}
class Oddity {
  readonly odd = true;
}
class PaymentRefused extends NonRetryableError {}

const withCode = (code: string): Error => Object.assign(new Error('with a code'), { code });
const named = (name: string): Error => Object.assign(new Error('with a name'), { name });
/** What a second copy of this package in the process makes: of another class, with the same code. */
const another = (code: string, more: object = {}): Error =>
  Object.assign(new Error('from another copy'), { code, ...more });

describe('Retry', () => {
  it('asks for a run at once, three times at most, where it is not told otherwise', () => {
    expect(new Retry()).toMatchObject({ delay: 0, max: 3, name: 'Retry', code: 'RQ_RETRY' });
    expect(new Retry().message).toBe('The job asked to run again at once');
    expect(new Retry({})).toMatchObject({ delay: 0, max: 3 });
    expect(new Retry()).toBeInstanceOf(RqError);
    expect(new Retry().cause).toBeUndefined();
  });

  it.each([
    ['30s', 30],
    ['2m', 120],
    [7, 7],
    [1.2, 2],
    ['1500ms', 2],
    [0, 0],
  ])('has a delay of %s as whole seconds', (delay, seconds) => {
    expect(new Retry({ delay }).delay).toBe(seconds);
  });

  it('says when, and keeps its cause', () => {
    const cause = new Error('429');
    const retry = new Retry({ delay: '1m', max: 10, cause });
    expect(retry).toMatchObject({ message: 'The job asked to run again in 60 s', max: 10 });
    expect(retry.cause).toBe(cause);
  });

  it.each<[options: unknown, kind: typeof RangeError | typeof TypeError, said: RegExp]>([
    [{ delay: '500ms' }, RangeError, /delay must be 0 or at least 1 second, not "500ms"/],
    [{ delay: 0.5 }, RangeError, /delay .*not 0\.5/],
    [{ delay: -1 }, RangeError, /delay .*not -1/],
    [{ delay: NaN }, RangeError, /delay .*not NaN/],
    [{ delay: '5 parsecs' }, RangeError, /delay .*not "5 parsecs"/],
    [{ delay: null }, TypeError, /delay .*not null/],
    [{ delay: new Date(0) }, TypeError, /delay .*not an object \(Date\)/],
    [{ max: 0 }, RangeError, /max must be a whole number of 1 or more, not 0/],
    [{ max: 1.5 }, RangeError, /max .*not 1\.5/],
    [{ max: Infinity }, RangeError, /max .*not Infinity/],
    [{ max: '3' }, TypeError, /max .*not "3"/],
    [{ dely: 3 }, TypeError, /"dely".*did you mean "delay"/],
    [3, TypeError, /options of Retry must be an object, not 3/],
    [null, TypeError, /options of Retry must be an object, not null/],
  ])('refuses %j', (options, kind, said) => {
    const make = (): Retry => new Retry(options as ConstructorParameters<typeof Retry>[0]);
    expect(make).toThrow(kind);
    expect(make).toThrow(said);
  });
});

describe('NonRetryableError', () => {
  it('is an Error with a message, a cause and a code of its own', () => {
    const cause = new Error('below');
    const error = new NonRetryableError('no use', { cause });
    expect(error).toBeInstanceOf(RqError);
    expect(error).toMatchObject({ name: 'NonRetryableError', code: 'RQ_NON_RETRYABLE', message: 'no use' });
    expect(error.cause).toBe(cause);
    expect(new NonRetryableError().message).toBe('');
  });

  it('gives a class that extends it that class’s name', () => {
    expect(new PaymentRefused('card')).toMatchObject({ name: 'PaymentRefused', code: 'RQ_NON_RETRYABLE' });
  });
});

describe('isNonRetryable', () => {
  it('knows the class, those that extend it, and that of another copy of the package', () => {
    expect(isNonRetryable(new NonRetryableError())).toBe(true);
    expect(isNonRetryable(new PaymentRefused())).toBe(true);
    expect(isNonRetryable(another('RQ_NON_RETRYABLE'))).toBe(true);
  });

  it.each([new Error('x'), new Retry(), { code: 'RQ_NON_RETRYABLE' }, 'RQ_NON_RETRYABLE', null, undefined])(
    'says no to %s',
    value => {
      expect(isNonRetryable(value)).toBe(false);
    },
  );
});

describe('retryAsked', () => {
  it('tells delay and max, also of another copy’s class', () => {
    expect(retryAsked(new Retry({ delay: 5, max: 2 }))).toEqual({ delay: 5, max: 2 });
    expect(retryAsked(another('RQ_RETRY', { delay: 7, max: 1 }))).toEqual({ delay: 7, max: 1 });
  });

  it.each([
    new Error('x'),
    new NonRetryableError(),
    { code: 'RQ_RETRY', delay: 0, max: 1 },
    another('RQ_RETRY'),
    another('RQ_RETRY', { delay: 0.5, max: 1 }),
    another('RQ_RETRY', { delay: '5', max: 1 }),
    'again',
    null,
    undefined,
  ])('asks for nothing with %s', value => {
    expect(retryAsked(value)).toBeUndefined();
  });
});

const fieldsOf = (fields: Readonly<Record<string, string>>): Fields =>
  toFields(Object.entries(fields).flatMap(([name, value]) => [name, Buffer.from(value)]));

describe('isRedeliverable', () => {
  it('is every job but one whose field says 0', () => {
    expect(isRedeliverable(fieldsOf({}))).toBe(true);
    expect(isRedeliverable(fieldsOf({ redeliver: '' }))).toBe(true);
    expect(isRedeliverable(fieldsOf({ redeliver: '1' }))).toBe(true);
    expect(isRedeliverable(fieldsOf({ redeliver: '0' }))).toBe(false);
  });
});

describe('whatFollows', () => {
  const following = (error: unknown, fields: Readonly<Record<string, string>> = {}): string =>
    whatFollows(error, fieldsOf(fields));
  const only = (...names: readonly string[]): Record<string, string> => ({
    retry_for: JSON.stringify(names),
  });
  const not = (...names: readonly string[]): Record<string, string> => ({
    no_retry_for: JSON.stringify(names),
  });

  it('is the plan where no names are given', () => {
    expect(following(new Error('x'))).toBe('plan');
    expect(following('thrown text')).toBe('plan');
    expect(following(undefined)).toBe('plan');
  });

  it.each<[by: string, error: unknown, name: string]>([
    ['its name', named('RateLimited'), 'RateLimited'],
    ['its code', withCode('ECONNRESET'), 'ECONNRESET'],
    ['its class', new CardDeclined('x'), 'CardDeclined'],
    ['the class that it extends', new CardDeclined('x'), 'Declined'],
    ['Error, which they all extend', new CardDeclined('x'), 'Error'],
    ['a built-in class', new RangeError('x'), 'RangeError'],
    ['the class of what is no Error', new Oddity(), 'Oddity'],
  ])('knows an error by %s', (_, error, name) => {
    expect(following(error, only(name))).toBe('plan');
    expect(following(error, only('Other', name))).toBe('plan');
    expect(following(error, only('Other'))).toBe('never');
    expect(following(error, not(name))).toBe('never');
    expect(following(error, not('Other'))).toBe('plan');
  });

  it('lets noRetryFor win over retryFor', () => {
    const fields = { ...only('Declined'), ...not('CardDeclined') };
    expect(following(new CardDeclined('x'), fields)).toBe('never');
    expect(following(new Declined('x'), fields)).toBe('plan');
  });

  it('tells names from parts and other cases of them', () => {
    expect(following(new RangeError('x'), only('Range', 'rangeerror', 'RangeErrors'))).toBe('never');
  });

  it.each(['text', 42, null, undefined, Symbol('s'), {}, Object.create(null)])(
    'finds no name in %s, which was thrown',
    thrown => {
      expect(following(thrown, only('Error'))).toBe('never');
      expect(following(thrown, not('Error', 'Object'))).toBe('plan');
    },
  );

  it.each(['', '{', '{"a":1}', '"Error"', '7', 'null'])('holds to the plan where a field is %j', text => {
    expect(following(new Error('x'), { retry_for: text })).toBe('plan');
    expect(following(new Error('x'), { no_retry_for: text })).toBe('plan');
  });

  it('is never for what has no use, whatever the names say', () => {
    expect(following(new NonRetryableError('x'), only('NonRetryableError'))).toBe('never');
    expect(following(new PaymentRefused('x'))).toBe('never');
    expect(following(another('RQ_NON_RETRYABLE'))).toBe('never');
    expect(following(new InvalidJobError('1', 'it is broken'))).toBe('never');
  });

  it('is what a Retry asks for, whatever the names say', () => {
    expect(following(new Retry({ delay: 30, max: 5 }))).toBe('30/5');
    expect(following(new Retry(), not('Retry', 'Error'))).toBe('0/3');
    expect(following(another('RQ_RETRY', { delay: 1, max: 2 }), only('Other'))).toBe('1/2');
  });

  it('is never where the job is not to be run again', () => {
    expect(following(new Error('x'), { redeliver: '0' })).toBe('never');
    expect(following(new Retry(), { redeliver: '0' })).toBe('never');
  });

  it.each(['code', 'name', 'constructor'])('is told of an error whose %s can’t be read', name => {
    const hostile = Object.defineProperty(new Error('x'), name, {
      get: () => {
        throw new Error('hands off');
      },
    });
    expect(following(hostile)).toBe('plan');
    expect(following(hostile, only('Other'))).toBe('never');
  });
});

describe('options of a retry', () => {
  const q = new Queue('default', { connection: 'redis://127.0.0.1:1' });
  afterAll(() => q.close());

  it.each<[options: unknown, said: RegExp]>([
    [{ retryFor: ['E'] }, /retryFor needs retry/],
    [{ noRetryFor: ['E'] }, /noRetryFor needs retry/],
    [{ retry: { max: 1 }, retryFor: [] }, /retryFor must be a list of at least one/],
    [{ retry: { max: 1 }, noRetryFor: [] }, /noRetryFor must be a list of at least one/],
    [{ retry: { max: 1 }, retryFor: 'E' }, /retryFor must be a list .* not "E"/],
    [{ retry: { max: 1 }, retryFor: null }, /retryFor must be a list .* not null/],
    [{ retry: { max: 1 }, retryFor: ['E', 7] }, /retryFor\[1\] must be an error's name.* not 7/],
    [{ retry: { max: 1 }, retryFor: [''] }, /retryFor\[0\] must be an error's name.* not ""/],
    [{ retry: { max: 1 }, noRetryFor: [RangeError] }, /noRetryFor\[0\] .* not function RangeError/],
    [{ retry: { max: 1 }, redeliver: false }, /redeliver: false and retry exclude each other/],
    [{ redeliver: 0 }, /redeliver must be true or false, not 0/],
    [{ redeliver: 'false' }, /redeliver must be true or false, not "false"/],
  ])('are refused at the door where they are %j', async (options, said) => {
    await expect(async () => q.enqueue('f', [], options as EnqueueOptions)).rejects.toThrow(said);
    expect(() => task(() => 1, options as EnqueueOptions)).toThrow(said);
  });
});
