import { describe, expectTypeOf, it } from 'vitest';
import { loadCrons, Worker, type CronEntry, type CronJob, type Queue } from '../lib/index.ts';

// nothing here runs: what is specified is what compiles, and `tsc -p spec` is the judge
declare const q: Queue;

const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
const greet = (name: string, greeting?: string): string => `${greeting ?? 'Hello'}, ${name}`;
const now = (zone?: string): string => zone ?? 'UTC';
const resize = (path: string, options: { readonly width: number }): string => path + options.width;

describe('Queue.cron', () => {
  it('gives a cron', () => {
    const calls = [
      () => q.cron('@daily', sum, [[42, 43]]),
      () =>
        q.cron('@daily', 'sum', [[42, 43]], { timezone: 'UTC', name: 'own', missed: 'skip', timeout: '1m' }),
      () => q.cron('@daily', 'sum'),
      () => q.cron('@daily', now),
      () => q.cron('@daily', greet, ['Ada']),
      () => q.cron('@daily', resize, ['a.png'], { kwargs: { width: 1 } }),
    ];
    expectTypeOf(calls).items.returns.toEqualTypeOf<Promise<CronJob>>();
    expectTypeOf<CronJob['nextRunAt']>().toEqualTypeOf<Date | undefined>();
    expectTypeOf<CronJob['lastJobId']>().toEqualTypeOf<string | undefined>();
  });

  it('refuses arguments that the function does not take, and options that a cron does not have', () => {
    const calls = [
      // @ts-expect-error -- no array of numbers
      () => q.cron('@daily', sum, [['42']]),
      // @ts-expect-error -- an argument is missing
      () => q.cron('@daily', greet),
      // @ts-expect-error -- one too many
      () => q.cron('@daily', sum, [[42], 43]),
      // @ts-expect-error -- the id is made of name and time
      () => q.cron('@daily', sum, [[42]], { jobId: 'own' }),
      // @ts-expect-error -- what waits for others has no time
      () => q.cron('@daily', 'sum', [], { dependsOn: 'other' }),
      // @ts-expect-error -- once or skip
      () => q.cron('@daily', 'sum', [], { missed: 'all' }),
      // @ts-expect-error -- a text
      () => q.cron(5, 'sum'),
    ];
    expectTypeOf(calls).not.toBeAny();
  });
});

describe('Queue.crons and Queue.removeCron', () => {
  it('give crons, and whether there was one', () => {
    expectTypeOf(() => q.crons()).returns.toEqualTypeOf<Promise<CronJob[]>>();
    expectTypeOf(() => q.removeCron('report')).returns.toEqualTypeOf<Promise<boolean>>();
  });
});

describe('a list of crons', () => {
  it('is what a worker takes, and loadCrons gives', () => {
    const list: readonly CronEntry[] = [
      { pattern: '@daily', fn: sum, args: [[1]], queue: 'low', timezone: 'UTC', timeout: '1m' },
      { pattern: '@daily', fn: 'sum' },
    ];
    expectTypeOf(() => new Worker('q', { functions: { sum }, crons: list })).returns.toEqualTypeOf<Worker>();
    expectTypeOf(loadCrons).returns.toEqualTypeOf<Promise<CronEntry[]>>();
  });

  it('refuses what has no pattern, or an id', () => {
    // @ts-expect-error -- no pattern
    const one: CronEntry = { fn: 'sum' };
    // @ts-expect-error -- the id is made of name and time
    const two: CronEntry = { pattern: '@daily', fn: 'sum', jobId: 'own' };
    expectTypeOf([one, two]).items.toEqualTypeOf<CronEntry>();
  });
});
