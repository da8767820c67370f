import { inflateSync, deflateSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { Link } from '../lib/connection.ts';
import { JobTimeoutError, LeaseLostError, ShutdownError, StopRequestedError } from '../lib/errors.ts';
import type { TaskFunction } from '../lib/functions.ts';
import { Keys } from '../lib/keys.ts';
import type { Ended, Outcome } from '../lib/outcome.ts';
import { currentRun, Run, type RunOptions } from '../lib/run.ts';
import { Store } from '../lib/store.ts';

// a run on its own sends nothing
const store = new Store(Link.own('redis://127.0.0.1:1'), new Keys());
afterAll(() => store.close());

const dataOf = (...args: readonly unknown[]): string => JSON.stringify(['fn', null, args, {}]);

function makeRun(fields: Readonly<Record<string, string | Buffer>> = {}, jobId: string = 'job-1'): Run {
  const all = Object.entries({ status: 'queued', data: dataOf(), ...fields });
  const started = { place: 0, jobId, executionId: 'n1', fields: new Map(all) };
  return new Run(store, started, { queue: 'q', worker: 'w', at: '2026-01-02T03:04:05.678901Z' });
}

function perform(run: Run, fn: TaskFunction, options: RunOptions = {}): Promise<Outcome> {
  return new Promise(resolve => run.perform(new Map([['fn', fn]]), options, resolve));
}

async function ended(run: Run, fn: TaskFunction, options: RunOptions = {}): Promise<Ended> {
  const outcome = await perform(run, fn, options);
  if (typeof outcome === 'string') throw new Error(`It was ${outcome}`);
  return outcome;
}

function deferred(): { promise: Promise<string>; resolve: (value: string) => void } {
  let resolve: (value: string) => void = () => {};
  const promise = new Promise<string>(to => (resolve = to));
  return { promise, resolve };
}

const never = (): Promise<never> => new Promise(() => {});
const rejectsOnAbort = (): Promise<never> =>
  new Promise((_, reject) => {
    const signal = currentRun()?.signal;
    signal?.addEventListener('abort', () => reject(signal.reason as Error));
  });

describe('Run.perform: what a function gives', () => {
  it('is stored as its JSON text', async () => {
    expect(await ended(makeRun(), () => ({ a: [1, 'é'] }))).toMatchObject({
      status: 'finished',
      text: '{"a":[1,"é"]}',
      stream: '',
      publish: true,
      ttl: 500,
    });
  });

  it('becomes null where it gives nothing', async () => {
    expect(await ended(makeRun(), () => {})).toMatchObject({ status: 'finished', text: 'null' });
    expect(await ended(makeRun(), async () => {})).toMatchObject({ status: 'finished', text: 'null' });
  });

  it.each([
    ['a Date within an array', () => ({ when: [new Date(0)] }), 'result.when[0] is a Date'],
    ['NaN', () => NaN, 'result is NaN'],
    ['undefined within an object', () => ({ a: undefined }), 'result.a is undefined'],
    ['a BigInt', () => 1n, 'result is a bigint'],
  ])('fails the job where it is %s', async (_, fn, said) => {
    const outcome = await ended(makeRun(), fn);
    expect(outcome.status).toBe('failed');
    expect(outcome.text).toMatch(/^InvalidResultError: What fn of job job-1 returned is not JSON: /);
    expect(outcome.text).toContain(said);
  });

  it('is waited for where it is a promise', async () => {
    expect(await ended(makeRun(), () => Promise.resolve(7))).toMatchObject({ status: 'finished', text: '7' });
  });

  it('is kept as long as the job says, else as the worker says', async () => {
    expect((await ended(makeRun({ result_ttl: '7' }), () => 1, { resultTtl: 9 })).ttl).toBe(7);
    expect((await ended(makeRun(), () => 1, { resultTtl: 9 })).ttl).toBe(9);
    expect((await ended(makeRun({ result_ttl: '-1' }), () => 1)).ttl).toBe(-1);
    expect((await ended(makeRun({ result_ttl: '0' }), () => 1)).ttl).toBe(0);
  });

  it('does not go with the status message where it is long', async () => {
    expect((await ended(makeRun(), () => 'x'.repeat(100_000))).publish).toBe(false);
  });

  it('is answered in Python’s dialect where the data is compressed', async () => {
    const run = makeRun({ data: deflateSync(dataOf()) });
    const { text, stream } = await ended(run, () => ({ ok: 'é' }));
    expect(text).toBe('{"ok":"é"}');
    expect(Buffer.from(stream, 'base64').toString()).toBe('{"ok":"é"}');
  });
});

describe('Run.perform: what a function is given', () => {
  it('is the job’s arguments', async () => {
    const { text } = await ended(makeRun({ data: dataOf(1, [2], { c: 3 }) }), (...args) => args);
    expect(text).toBe('[1,[2],{"c":3}]');
  });

  it('has keyword arguments as one last object', async () => {
    const run = makeRun({ data: '["fn",null,[1],{"b":2,"c":3}]' });
    expect((await ended(run, (...args) => args)).text).toBe('[1,{"b":2,"c":3}]');
  });

  it('has no last object where there are no keyword arguments', async () => {
    expect((await ended(makeRun({ data: dataOf(1) }), (...args) => args.length)).text).toBe('1');
  });
});

describe('Run.perform: failures', () => {
  it('stores name, message and stack of what was thrown', async () => {
    const outcome = await ended(makeRun(), () => {
      throw new RangeError('too far');
    });
    expect(outcome).toMatchObject({ status: 'failed', stream: '', ttl: 30 * 24 * 3600 });
    expect(outcome.text).toMatch(/^RangeError: too far\n {4}at /);
    expect(outcome.error).toBeInstanceOf(RangeError);
  });

  it('takes a promise that rejects for a failure as well', async () => {
    const outcome = await ended(makeRun(), () => Promise.reject(new TypeError('no')));
    expect(outcome.text).toMatch(/^TypeError: no/);
  });

  it('says what was thrown where it was no Error', async () => {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors
    expect((await ended(makeRun(), () => Promise.reject('just text'))).text).toContain('just text');
  });

  it('keeps it as long as the job’s failure_ttl says', async () => {
    const run = makeRun({ failure_ttl: '60' });
    expect((await ended(run, () => Promise.reject(new Error('x')))).ttl).toBe(60);
  });

  it('has base64 of zlib of the text for Python’s jobs', async () => {
    const run = makeRun({ data: deflateSync(dataOf()) });
    const { text, stream } = await ended(run, () => Promise.reject(new Error('for Python')));
    expect(inflateSync(Buffer.from(stream, 'base64')).toString()).toBe(text);
    expect(text).toContain('for Python');
  });

  it('lists the registered functions where the job’s is not among them', async () => {
    const run = makeRun({ data: '["other",null,[],{}]' });
    const outcome = await new Promise<Outcome>(resolve =>
      run.perform(
        new Map<string, TaskFunction>([
          ['sub', () => 1],
          ['add', () => 2],
        ]),
        {},
        resolve,
      ),
    );
    expect(outcome).toMatchObject({ status: 'failed' });
    expect((outcome as Ended).text).toBe(
      "FunctionNotRegisteredError: Function 'other' of job job-1 is not registered with this worker (registered are: add, sub)",
    );
  });

  it.each([
    ['timeout', '5m'],
    ['timeout', '2.5'],
    ['result_ttl', '1h'],
    ['failure_ttl', 'never'],
    ['ttl', 'x'],
  ])('refuses a job whose %s is %s', async (field, value) => {
    let calls = 0;
    const outcome = await ended(makeRun({ [field]: value }), () => calls++);
    expect(outcome.status).toBe('failed');
    expect(outcome.text).toBe(
      `InvalidJobError: Job job-1 is not valid: its field ${field} is not a whole number: "${value}"`,
    );
    expect(calls).toBe(0);
  });

  it('reads an empty field, as Python writes them, as none', async () => {
    const run = makeRun({ timeout: '', result_ttl: '', failure_ttl: '', ttl: '', meta: '' });
    expect(await ended(run, () => 1)).toMatchObject({ status: 'finished', ttl: 500 });
  });

  it('refuses an id that is none', async () => {
    expect((await ended(makeRun({}, 'a b'), () => 1)).text).toBe(
      'InvalidJobError: Job a b is not valid: its id is none: "a b"',
    );
  });
});

describe('Run: limits', () => {
  it('aborts the signal with JobTimeoutError once the time is over', async () => {
    const run = makeRun({ timeout: '3' });
    const outcome = ended(run, rejectsOnAbort);
    run.checkTime();
    expect(run.signal.aborted).toBe(false);
    run.began -= 3000;
    run.checkTime();
    expect(run.signal.reason).toBeInstanceOf(JobTimeoutError);
    expect(await outcome).toMatchObject({
      status: 'failed',
      text: 'JobTimeoutError: Job job-1 exceeded its timeout of 3 s',
    });
  });

  it('fails a job that exceeded its timeout although its function then returns', async () => {
    const run = makeRun({ timeout: '1' });
    const { promise, resolve } = deferred();
    const outcome = ended(run, () => promise);
    run.began -= 1000;
    run.checkTime();
    resolve('too late');
    expect(await outcome).toMatchObject({ status: 'failed', error: expect.any(JobTimeoutError) });
    expect(run.overdue).toBe(false);
  });

  it('has 180 s where the job does not say, and no limit with -1', () => {
    const [usual, endless] = [makeRun(), makeRun({ timeout: '-1' })];
    void perform(usual, never, { grace: 0.01 });
    void perform(endless, never);
    usual.began -= 179_000;
    usual.checkTime();
    expect(usual.reason).toBeUndefined();
    for (const run of [usual, endless]) {
      run.began -= 100_000_000;
      run.checkTime();
    }
    expect(usual.reason).toBeInstanceOf(JobTimeoutError);
    expect(endless.reason).toBeUndefined();
  });

  it('leaves a function behind that does not end within the grace', async () => {
    const run = makeRun({ timeout: '1' });
    const outcome = ended(run, never, { grace: 0.02 });
    run.began -= 1000;
    run.checkTime();
    expect((await outcome).text).toMatch(/^JobTimeoutError/);
    expect(run.overdue).toBe(true);
  });

  it('takes nothing from a function that was left behind', async () => {
    const outcomes: Outcome[] = [];
    const { promise, resolve } = deferred();
    const run = makeRun();
    run.perform(new Map([['fn', () => promise]]), {}, outcome => outcomes.push(outcome));
    run.abort(new StopRequestedError(run.jobId));
    run.leave();
    resolve('late');
    await promise;
    await new Promise(setImmediate);
    expect(outcomes).toHaveLength(1);
    expect(outcomes[0]).toMatchObject({ status: 'stopped' });
  });

  it('stops a job that was asked to', async () => {
    const run = makeRun();
    const outcome = ended(run, rejectsOnAbort);
    run.abort(new StopRequestedError(run.jobId));
    expect(await outcome).toMatchObject({
      status: 'stopped',
      text: 'StopRequestedError: Job job-1 was asked to stop',
    });
  });

  it('gives a job back that a shutdown interrupted', async () => {
    const run = makeRun();
    const outcome = perform(run, rejectsOnAbort);
    run.abort(new ShutdownError(run.jobId));
    expect(await outcome).toBe('returned');
  });

  it('counts a result that came in time although the worker shuts down', async () => {
    const run = makeRun();
    const { promise, resolve } = deferred();
    const outcome = ended(run, () => promise);
    run.abort(new ShutdownError(run.jobId));
    resolve('in time');
    expect(await outcome).toMatchObject({ status: 'finished', text: '"in time"' });
  });

  it('says that it was lost, whatever its function gives', async () => {
    const run = makeRun();
    const { promise, resolve } = deferred();
    const outcome = perform(run, () => promise);
    const { signal } = run;
    run.abort(new LeaseLostError(run.jobId));
    expect(signal.reason).toBeInstanceOf(LeaseLostError);
    resolve('for nobody');
    expect(await outcome).toBe('lost');
  });

  it('keeps its first reason, unless the run is lost', async () => {
    const run = makeRun();
    const { promise, resolve } = deferred();
    const outcome = perform(run, () => promise);
    run.abort(new StopRequestedError(run.jobId));
    run.abort(new ShutdownError(run.jobId));
    expect(run.reason).toBeInstanceOf(StopRequestedError);
    run.abort(new LeaseLostError(run.jobId));
    resolve('');
    expect(await outcome).toBe('lost');
  });

  it('does not call the function where it was aborted before', async () => {
    let calls = 0;
    const run = makeRun();
    run.abort(new ShutdownError(run.jobId));
    expect(await perform(run, () => calls++)).toBe('returned');
    expect(calls).toBe(0);
  });

  it('gives a signal that is aborted already to who asks late', () => {
    const run = makeRun();
    void perform(run, never, { grace: 0.01 });
    run.abort(new StopRequestedError(run.jobId));
    expect(run.signal.aborted).toBe(true);
    expect(run.signal.reason).toBeInstanceOf(StopRequestedError);
  });
});
