/** The option `repeat`: its forms as RQ's fields, and what is refused. */
import { describe, expect, it } from 'vitest';
import type { RepeatOptions } from '../lib/index.ts';
import { repeatPlan } from '../lib/repeat-plan.ts';
import { add } from './support/following.ts';
import { useQueue, useRedis } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

describe('The option repeat', () => {
  // RQ counts from the end of the list, by the repeats that are left
  const FORMS: [RepeatOptions, number, number[]][] = [
    [{ times: 1 }, 1, [0]],
    [{ times: 3, interval: 0 }, 3, [0]],
    [{ times: 3, interval: 10 }, 3, [10]],
    [{ times: 3, interval: '5m' }, 3, [300]],
    [{ times: 3, interval: '1500ms' }, 3, [2]],
    [{ times: 3, interval: [1, 2, 3] }, 3, [3, 2, 1]],
    [{ times: 3, interval: [0, '1m', 5] }, 3, [5, 60, 0]],
    [{ times: 4, interval: [1, 2] }, 4, [2, 2, 2, 1]],
    [{ times: 3, interval: ['1h'] }, 3, [3600, 3600, 3600]],
    [{ times: 1_000_000, interval: '1d' }, 1_000_000, [86400]],
    [{ times: 1000, interval: [1] }, 1000, Array.from({ length: 1000 }, () => 1)],
  ];
  it.each(FORMS)('%j is stored as RQ’s fields', async (repeat, left, intervals) => {
    expect(repeatPlan(repeat)).toEqual({ repeatsLeft: left, intervals });
    const job = await q.enqueue(add, [1, 2], { repeat });
    expect(await redis.client.hgetall(`rq:job:${job.id}`)).toMatchObject({
      status: 'queued',
      repeats_left: String(left),
      repeat_intervals: JSON.stringify(intervals),
    });
  });

  it('leaves nothing where it is not given', async () => {
    const job = await q.enqueue(add, [1, 2], { timeout: 5 });
    expect(await redis.client.hget(`rq:job:${job.id}`, 'repeats_left')).toBeNull();
  });
});

describe('The option repeat refuses', () => {
  const WRONG: [string, unknown, typeof TypeError | typeof RangeError, string][] = [
    ['a number', 3, TypeError, 'repeat must be { times, interval }, not 3'],
    ['a text', '3 times', TypeError, 'repeat must be { times, interval }, not "3 times"'],
    ['null', null, TypeError, 'repeat must be { times, interval }, not null'],
    ['a list', [1, 2], TypeError, 'repeat must be { times, interval }, not an array'],
    ['no times', { interval: 5 }, TypeError, 'repeat.times must be a whole number, not undefined'],
    ['times that are a text', { times: '3' }, TypeError, 'repeat.times must be a whole number, not "3"'],
    ['no time at all', { times: 0 }, RangeError, 'repeat.times must be a whole number of 1 or more, not 0'],
    ['less than none', { times: -1 }, RangeError, 'repeat.times must be a whole number of 1 or more, not -1'],
    ['half a time', { times: 1.5 }, RangeError, 'repeat.times must be a whole number of 1 or more, not 1.5'],
    [
      'for ever',
      { times: Infinity },
      RangeError,
      'repeat.times must be a whole number of 1 or more, not Infinity',
    ],
    [
      'RQ’s name',
      { times: 1, intervals: 5 },
      TypeError,
      'Unknown option of repeat "intervals": did you mean "interval"?',
    ],
    ['a wait that is no duration', { times: 1, interval: 'soon' }, RangeError, 'not "soon"'],
    ['a wait that is a flag', { times: 1, interval: true }, TypeError, 'not true'],
    ['a wait of no form', { times: 1, interval: {} }, TypeError, 'repeat.interval must be seconds'],
    ['a wait below zero', { times: 1, interval: -5 }, RangeError, 'not -5'],
    ['never', { times: 1, interval: -1 }, RangeError, 'not -1'],
    ['NaN', { times: 1, interval: NaN }, RangeError, 'not NaN'],
    [
      'a wait below a second',
      { times: 1, interval: '500ms' },
      RangeError,
      'repeat.interval must be 0 or at least 1 second, not "500ms"',
    ],
    ['a wait of more than ten years', { times: 1, interval: '4000d' }, RangeError, 'not "4000d"'],
    ['an empty list of waits', { times: 1, interval: [] }, RangeError, 'or a list of at least one'],
    [
      'more waits than times',
      { times: 1, interval: [1, 2] },
      RangeError,
      'repeat.interval has 2 waits for 1 repeats',
    ],
    [
      'a wrong wait in a list',
      { times: 3, interval: [1, 'x', 2] },
      RangeError,
      'repeat.interval[1] must be seconds',
    ],
    ['null in a list', { times: 3, interval: [1, null] }, TypeError, 'repeat.interval[1] must be seconds'],
    [
      'a list for too many times',
      { times: 1001, interval: [1] },
      RangeError,
      '1000 or less with a list of intervals, not 1001',
    ],
  ];
  it.each(WRONG)('%s', async (_, repeat, kind, message) => {
    const error: unknown = await q
      .enqueue(add, [1, 2], { repeat: repeat as RepeatOptions })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toContain(message);
    expect(await redis.client.dbsize()).toBe(0);
  });
});
