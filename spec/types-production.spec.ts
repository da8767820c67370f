import { pino } from 'pino';
import { describe, expectTypeOf, it } from 'vitest';
import type {
  ErrorHook,
  JobEvent,
  JobFailedEvent,
  Logger,
  MetricsOptions,
  Worker,
  WorkerOptions,
} from '../lib/index.ts';

// nothing here runs: what is specified is what compiles, and `tsc -p spec` is the judge
declare const worker: Worker;

describe('the options of a worker', () => {
  it('logger takes pino', () => {
    expectTypeOf(pino()).toExtend<Logger>();
    expectTypeOf<Console>().toExtend<Logger>();
    expectTypeOf<{ info: () => void }>().not.toExtend<Logger>();
  });

  it('onError takes one hook or several, whatever they give back', () => {
    expectTypeOf<(error: unknown, job: JobFailedEvent) => void>().toExtend<ErrorHook>();
    expectTypeOf<(error: unknown) => Promise<boolean>>().toExtend<ErrorHook>();
    expectTypeOf<() => string>().toExtend<WorkerOptions['onError']>();
    expectTypeOf<readonly ErrorHook[]>().toExtend<WorkerOptions['onError']>();
    // what is thrown may be anything
    expectTypeOf<(error: Error) => void>().not.toExtend<ErrorHook>();
    expectTypeOf<string>().not.toExtend<WorkerOptions['onError']>();
  });

  it('metrics needs a port', () => {
    expectTypeOf<{ port: 9464 }>().toExtend<MetricsOptions>();
    expectTypeOf<{ host: '::1' }>().not.toExtend<MetricsOptions>();
    expectTypeOf<WorkerOptions['metrics']>().toEqualTypeOf<MetricsOptions | undefined>();
  });
});

describe('the events of a worker', () => {
  it('say where metrics are served, and how long a job had waited', () => {
    const listen = (): void => void worker.on('serving', url => expectTypeOf(url).toBeString());
    expectTypeOf(listen).toBeFunction();
    expectTypeOf<JobEvent['waited']>().toEqualTypeOf<number | undefined>();
  });
});
