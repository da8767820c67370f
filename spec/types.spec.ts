import { describe, expectTypeOf, it } from 'vitest';
import {
  task,
  type CurrentJob,
  type Duration,
  type EnqueueCall,
  type EnqueueOptions,
  type Job,
  type JobStatus,
  type Json,
  type Progress,
  type Queue,
  type Worker,
  type WorkerOptions,
  type getCurrentJob,
  type JobFailedError,
  type RqError,
} from '../lib/index.ts';

// nothing here runs: what is specified is what compiles, and `tsc -p spec` is the judge
declare const q: Queue;
declare const job: Job<number>;

const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
const add = (x: number, y: number): number => x + y;
const later = async (id: string): Promise<{ id: string }> => Promise.resolve({ id });
const nothing = (): void => {};
const nothingLater = async (): Promise<void> => Promise.resolve();
const greet = (name: string, greeting?: string): string => `${greeting ?? 'Hello'}, ${name}`;
const now = (zone?: string): string => zone ?? 'UTC';
const all = (...ids: string[]): number => ids.length;
const maybe = (): number | undefined => undefined;
const resize = (path: string, options: { readonly width: number }): string => path + options.width;
const identity = <T>(value: T): T => value;

/** What a call that is never made gives. */
type Given<F extends () => Promise<unknown>> = Awaited<ReturnType<F>>;

describe('Queue.enqueue, of a function', () => {
  it('is a job of what the function gives', () => {
    const call = () => q.enqueue(sum, [[42, 43]]);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('unwraps what an asynchronous function gives', () => {
    const call = () => q.enqueue(later, ['1']);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job<{ id: string }>>>();
  });

  it('makes null of nothing, as JSON does', () => {
    const now_ = () => q.enqueue(nothing);
    const soon = () => q.enqueue(nothingLater, []);
    const perhaps = () => q.enqueue(maybe);
    expectTypeOf(now_).returns.toEqualTypeOf<Promise<Job<null>>>();
    expectTypeOf(soon).returns.toEqualTypeOf<Promise<Job<null>>>();
    expectTypeOf(perhaps).returns.toEqualTypeOf<Promise<Job<number | null>>>();
  });

  it('lets args be left out where none is required', () => {
    const calls = [
      () => q.enqueue(now),
      () => q.enqueue(now, []),
      () => q.enqueue(now, ['CET']),
      () => q.enqueue(now, [], { timeout: 5 }),
    ];
    expectTypeOf(calls).toEqualTypeOf<(() => Promise<Job<string>>)[]>();
  });

  it('takes optional and further arguments', () => {
    const one = () => q.enqueue(greet, ['Ann']);
    const both = () => q.enqueue(greet, ['Ann', 'Hi']);
    const many = () => q.enqueue(all, ['1', '2', '3']);
    expectTypeOf(one).toEqualTypeOf(both);
    expectTypeOf(many).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('takes a generic function', () => {
    const call = () => q.enqueue(identity, ['x']);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job>>();
  });

  it('takes the last argument as kwargs', () => {
    const call = () => q.enqueue(resize, ['a.png'], { kwargs: { width: 5 } });
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job<string>>>();
  });

  it('refuses an argument of another type', () => {
    // @ts-expect-error: numbers are needed
    const element = () => q.enqueue(sum, [['42']]);
    // @ts-expect-error: an array of numbers is needed
    const whole = () => q.enqueue(sum, [42]);
    // @ts-expect-error: args is the list of arguments, not the argument
    const bare = () => q.enqueue(sum, 42);
    expectTypeOf([element, whole, bare]).toBeArray();
  });

  it('refuses missing arguments', () => {
    // @ts-expect-error: numbers are missing
    const none = () => q.enqueue(sum);
    // @ts-expect-error: numbers are missing
    const empty = () => q.enqueue(sum, []);
    // @ts-expect-error: y is missing
    const half = () => q.enqueue(add, [1]);
    // @ts-expect-error: y is missing
    const optioned = () => q.enqueue(add, [1], { timeout: 5 });
    expectTypeOf([none, empty, half, optioned]).toBeArray();
  });

  it('refuses too many arguments', () => {
    // @ts-expect-error: add takes two
    const three = () => q.enqueue(add, [1, 2, 3]);
    // @ts-expect-error: nothing takes none
    const one = () => q.enqueue(nothing, [1]);
    // @ts-expect-error: arguments go into one array
    const spread = () => q.enqueue(add, 1, 2);
    expectTypeOf([three, one, spread]).toBeArray();
  });

  it('refuses what is no function', () => {
    // @ts-expect-error: a number
    const number = () => q.enqueue(5);
    // @ts-expect-error: a call's result
    const called = () => q.enqueue(add(1, 2));
    expectTypeOf([number, called]).toBeArray();
  });

  it('refuses unknown options and values of another type', () => {
    // @ts-expect-error: timeout
    const misspelt = () => q.enqueue(add, [1, 2], { timout: 5 });
    // @ts-expect-error: a duration is a number or a text
    const flag = () => q.enqueue(add, [1, 2], { timeout: true });
    // @ts-expect-error: a flag
    const front = () => q.enqueue(add, [1, 2], { atFront: 'yes' });
    expectTypeOf([misspelt, flag, front]).toBeArray();
  });
});

describe('Queue.enqueue, by name', () => {
  it('is a job of anything, or of what the caller says', () => {
    const unknown = () => q.enqueue('http.get', ['http://127.0.0.1/'], { ttl: '1m' });
    const bare = () => q.enqueue('tick');
    const typed = () => q.enqueue<number>('sum', [[42, 43]]);
    expectTypeOf(unknown).returns.toEqualTypeOf<Promise<Job>>();
    expectTypeOf(bare).returns.toEqualTypeOf<Promise<Job>>();
    expectTypeOf(typed).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('takes an object of an interface', () => {
    interface User {
      readonly name: string;
    }
    const user = {} as User;
    const call = () => q.enqueue('greet', [{ ...user }]);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job>>();
  });
});

describe('Queue.enqueueMany', () => {
  it('is a tuple of jobs, each of what its function gives', () => {
    const call = () =>
      q.enqueueMany([
        [sum, [[42, 43]]],
        [later, ['1'], { timeout: '1m' }],
        [nothing],
        ['http.get', ['http://127.0.0.1/']],
      ]);
    expectTypeOf<Given<typeof call>>().toEqualTypeOf<[Job<number>, Job<{ id: string }>, Job<null>, Job]>();
  });

  it('takes a list made by map', () => {
    const call = () =>
      q.enqueueMany(['a', 'b'].map((id): EnqueueCall<typeof later> => [later, [id], { timeout: 5 }]));
    expectTypeOf<Given<typeof call>>().toEqualTypeOf<Job<{ id: string }>[]>();
  });

  it('takes a list of names made by map', () => {
    const call = () => q.enqueueMany(['a', 'b'].map(url => ['http.get', [url]]));
    expectTypeOf<Given<typeof call>>().toEqualTypeOf<Job[]>();
  });

  it('refuses a wrong argument in any place', () => {
    const call = () =>
      q.enqueueMany([
        [add, [1, 2]],
        // @ts-expect-error: numbers are needed
        [add, ['1', 2]],
      ]);
    // @ts-expect-error: y is missing
    const missing = () => q.enqueueMany([[add, [1]]]);
    // @ts-expect-error: a call is an array
    const bare = () => q.enqueueMany([add]);
    expectTypeOf([call, missing, bare]).toBeArray();
  });
});

describe('task', () => {
  const tasked = task(add, { name: 'types.add', timeout: '1m' });
  const optional = task(greet);
  const async_ = task(later);

  it('gives the function back, with delay', () => {
    expectTypeOf(tasked).toExtend<typeof add>();
    expectTypeOf(tasked.delay).parameters.toEqualTypeOf<[x: number | Job<number>, y: number | Job<number>]>();
    expectTypeOf(tasked.delay).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('keeps optional arguments optional, and unwraps', () => {
    expectTypeOf(optional.delay).toBeCallableWith('Ann');
    expectTypeOf(optional.delay).toBeCallableWith('Ann', 'Hi');
    expectTypeOf(async_.delay).returns.toEqualTypeOf<Promise<Job<{ id: string }>>>();
  });

  it('is a function that can be enqueued', () => {
    const call = () => q.enqueue(tasked, [1, 2]);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('is there for one queue as well', () => {
    const call = () => q.task(add, { name: 'add' }).delay(1, 2);
    expectTypeOf(call).returns.toEqualTypeOf<Promise<Job<number>>>();
  });

  it('refuses wrong arguments and options', () => {
    // @ts-expect-error: a number is needed
    const wrong = () => tasked.delay('1', 2);
    // @ts-expect-error: y is missing
    const missing = () => tasked.delay(1);
    // @ts-expect-error: a task has no id of its own
    const id = () => task(add, { jobId: '1' });
    expectTypeOf([wrong, missing, id]).toBeArray();
  });
});

describe('callbacks', () => {
  it('are given what the function gives', () => {
    const good = () => q.enqueue(sum, [[1]], { onSuccess: (_: CurrentJob, result: number) => result });
    const fewer = () =>
      q.enqueue(later, ['1'], { onSuccess: { fn: (given: Job) => given.id, timeout: '5s' } });
    const nulls = () => q.enqueue(nothing, [], { onSuccess: (_: Job, result: null) => result });
    const error = () =>
      q.enqueue(sum, [[1]], { onFailure: (_: CurrentJob, thrown: Error) => thrown.message });
    const tasked = () => task(later, { onSuccess: (_: CurrentJob, result: { id: string }) => result.id });
    const named = () => q.enqueue('http.get', [], { onSuccess: (_: CurrentJob, result: string) => result });
    expectTypeOf([good, fewer, nulls, error, tasked, named]).toBeArray();
  });

  it('refuse what takes another result', () => {
    // @ts-expect-error: a number is given
    const wrong = () => q.enqueue(sum, [[1]], { onSuccess: (_: CurrentJob, result: string) => result });
    // @ts-expect-error: a number is given
    const within = () => q.enqueue(sum, [[1]], { onSuccess: { fn: (_: Job, result: Date) => result } });
    // @ts-expect-error: an id is given
    const tasked = () => task(later, { onSuccess: (_: CurrentJob, result: number) => result });
    // @ts-expect-error: a job comes first
    const first = () => q.enqueue(sum, [[1]], { onStopped: (n: number) => n });
    expectTypeOf([wrong, within, tasked, first]).toBeArray();
  });

  it('leave options that are declared by themselves usable for any function', () => {
    const options: EnqueueOptions = { timeout: 5, onFailure: 'told' };
    const call = () => q.enqueue(sum, [[1]], options);
    const many = () =>
      q.enqueueMany([[later, ['1'], { ...options, onSuccess: (_: Job, r: { id: string }) => r }]]);
    expectTypeOf([call, many]).toBeArray();
  });
});

describe('limits', () => {
  it('are a key and a number, on a call and on a task', () => {
    const limit = { key: 'acme', concurrency: 2 } as const;
    const calls = [() => q.enqueue(add, [1, 2], { limit }), () => task(add, { limit }).delay(1, 2)];
    expectTypeOf(calls).toEqualTypeOf<(() => Promise<Job<number>>)[]>();
    // @ts-expect-error: concurrency is missing
    const half = () => q.enqueue(add, [1, 2], { limit: { key: 'acme' } });
    // @ts-expect-error: a number
    const text = () => q.enqueue(add, [1, 2], { limit: { key: 'acme', concurrency: '2' } });
    expectTypeOf([half, text]).toBeArray();
  });

  it('of a queue are texts, or none', () => {
    const rate = () => q.getRateLimit();
    const none = () => q.setRateLimit(undefined);
    expectTypeOf<Given<typeof rate>>().toEqualTypeOf<string | undefined>();
    expectTypeOf(none).returns.toEqualTypeOf<Promise<void>>();
    // @ts-expect-error: a rate is a text
    const number = () => q.setRateLimit(10);
    // @ts-expect-error: no rate is undefined, and said
    const nothing_ = () => q.setRateLimit();
    expectTypeOf([number, nothing_]).toBeArray();
  });

  it('of a worker are by queue', () => {
    expectTypeOf<WorkerOptions['weights']>().toEqualTypeOf<Readonly<Record<string, number>> | undefined>();
    expectTypeOf<WorkerOptions['rateLimits']>().toEqualTypeOf<Readonly<Record<string, string>> | undefined>();
    expectTypeOf<WorkerOptions['dequeueStrategy']>().toEqualTypeOf<
      'default' | 'round_robin' | 'random' | 'weighted' | undefined
    >();
  });
});

describe('Job', () => {
  it('gives the value, or undefined while it has not ended', () => {
    expectTypeOf<Job<number>['result']>().toEqualTypeOf<Promise<number | undefined>>();
    const wait = () => job.wait({ timeout: '30s' });
    expectTypeOf(wait).returns.toEqualTypeOf<Promise<number>>();
  });

  it('is unknown where nobody says', () => {
    const fetched = () => q.fetchJob('1');
    const typed = () => q.fetchJob<number>('1');
    expectTypeOf<Given<typeof fetched>>().toEqualTypeOf<Job | undefined>();
    expectTypeOf<Given<typeof typed>>().toEqualTypeOf<Job<number> | undefined>();
  });

  it('of a number is a job', () => {
    expectTypeOf<Job<number>>().toExtend<Job>();
    expectTypeOf<CurrentJob>().toExtend<Job>();
  });

  it('has RQ’s statuses', () => {
    expectTypeOf<Job['status']>().toEqualTypeOf<JobStatus>();
    expectTypeOf<JobStatus>().toEqualTypeOf<
      'queued' | 'started' | 'finished' | 'failed' | 'deferred' | 'scheduled' | 'canceled' | 'stopped'
    >();
  });

  it('has fields that cannot be set, but for meta', () => {
    const set = (): void => {
      job.meta = { user: 5 };
      // @ts-expect-error: read-only
      job.id = '2';
      // @ts-expect-error: read-only
      job.origin = 'high';
      // @ts-expect-error: read-only
      job.status = 'queued';
    };
    expectTypeOf(set).toBeFunction();
  });
});

describe('progress', () => {
  it('is said in a function, and read from a handle', () => {
    expectTypeOf<Job['progress']>().returns.toEqualTypeOf<Progress | undefined>();
    const say = (own: CurrentJob) => own.progress(0.5, 'half');
    expectTypeOf(say).returns.toEqualTypeOf<void>();
    const read = (own: CurrentJob) => own.progress();
    expectTypeOf(read).returns.toEqualTypeOf<Progress | undefined>();
    // @ts-expect-error: a handle only reads
    const wrong = () => job.progress(0.5);
    // @ts-expect-error: a number comes first
    const text = (own: CurrentJob) => own.progress('half');
    expectTypeOf([wrong, text]).toBeArray();
  });
});

describe('the rest', () => {
  it('the job that runs is there only within a function', () => {
    expectTypeOf<ReturnType<typeof getCurrentJob>>().toEqualTypeOf<CurrentJob | undefined>();
    expectTypeOf<CurrentJob['signal']>().toEqualTypeOf<AbortSignal>();
  });

  it('durations are seconds or texts', () => {
    expectTypeOf<Duration>().toEqualTypeOf<number | string>();
    expectTypeOf<EnqueueOptions['timeout']>().toEqualTypeOf<Duration | undefined>();
  });

  it('errors carry their fields', () => {
    expectTypeOf<RqError['code']>().toBeString();
    expectTypeOf<JobFailedError['jobId']>().toBeString();
    expectTypeOf<JobFailedError['remote']>().toEqualTypeOf<{
      readonly name: string;
      readonly message: string;
      readonly stack: string;
    }>();
  });

  it('Json is what arguments are made of', () => {
    expectTypeOf<{ readonly a: readonly [1, 'b', null] }>().toExtend<Json>();
    expectTypeOf<Date>().not.toExtend<Json>();
    expectTypeOf<undefined>().not.toExtend<Json>();
  });

  it('queues and workers can be disposed of', () => {
    expectTypeOf<Queue>().toExtend<AsyncDisposable>();
    expectTypeOf<Worker['stop']>().returns.toExtend<Promise<unknown>>();
  });
});
