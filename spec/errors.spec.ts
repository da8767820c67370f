import { describe, expect, it } from 'vitest';
import * as errors from '../lib/errors.ts';

const ID = '0190a6b8-7c3e-7000-8000-000000000000';
const remote = {
  name: 'RangeError',
  message: 'out of it',
  stack: 'RangeError: out of it\n    at f (x.js:1:1)',
};

const PLAIN: readonly [name: string, code: string, error: errors.RqError][] = [
  ['ConnectionError', 'RQ_CONNECTION', new errors.ConnectionError('x')],
  ['OutcomeUnknownError', 'RQ_OUTCOME_UNKNOWN', new errors.OutcomeUnknownError('x')],
  ['RedisRefusedError', 'RQ_REDIS_REFUSED', new errors.RedisRefusedError('x')],
  ['RedisSettingError', 'RQ_REDIS_SETTING', new errors.RedisSettingError('x')],
  ['WorkerNameTakenError', 'RQ_WORKER_NAME_TAKEN', new errors.WorkerNameTakenError('w')],
];

/** Those whose message is their own. */
const OF_A_JOB: readonly [name: string, code: string, error: errors.JobError][] = [
  ['NoSuchJobError', 'RQ_NO_SUCH_JOB', new errors.NoSuchJobError(ID)],
  ['DuplicateJobError', 'RQ_DUPLICATE_JOB', new errors.DuplicateJobError(ID, 'started')],
  ['JobFailedError', 'RQ_JOB_FAILED', new errors.JobFailedError(ID, remote)],
  ['JobStoppedError', 'RQ_JOB_STOPPED', new errors.JobStoppedError(ID)],
  ['JobCanceledError', 'RQ_JOB_CANCELED', new errors.JobCanceledError(ID)],
  ['WaitTimeoutError', 'RQ_WAIT_TIMEOUT', new errors.WaitTimeoutError(ID, 30, 'queued')],
  [
    'FunctionNotRegisteredError',
    'RQ_FUNCTION_NOT_REGISTERED',
    new errors.FunctionNotRegisteredError(ID, 'f', ['add', 'sum']),
  ],
  ['JobTimeoutError', 'RQ_JOB_TIMEOUT', new errors.JobTimeoutError(ID, 5)],
  ['CallbackTimeoutError', 'RQ_CALLBACK_TIMEOUT', new errors.CallbackTimeoutError(ID, 'told', 5)],
  ['JobSoftTimeoutError', 'RQ_JOB_SOFT_TIMEOUT', new errors.JobSoftTimeoutError(ID, 5)],
  ['StopRequestedError', 'RQ_STOP_REQUESTED', new errors.StopRequestedError(ID)],
  ['ShutdownError', 'RQ_SHUTDOWN', new errors.ShutdownError(ID)],
  ['LeaseLostError', 'RQ_LEASE_LOST', new errors.LeaseLostError(ID)],
  ['DependencyFailedError', 'RQ_DEPENDENCY_FAILED', new errors.DependencyFailedError(ID, 'other', 'gone')],
  ['DependencyCycleError', 'RQ_DEPENDENCY_CYCLE', new errors.DependencyCycleError(ID, 'other')],
];

/** Those that are told what to say. */
const TOLD: readonly [name: string, code: string, error: errors.JobError][] = [
  [
    'InvalidJobOperationError',
    'RQ_INVALID_JOB_OPERATION',
    new errors.InvalidJobOperationError(ID, `Job ${ID} can't be stopped`),
  ],
  ['InvalidJobError', 'RQ_INVALID_JOB', new errors.InvalidJobError(ID, 'It has no data')],
  [
    'InvalidResultError',
    'RQ_INVALID_RESULT',
    new errors.InvalidResultError(ID, 'f', 'is not JSON: result is a Date'),
  ],
];

const ALL = [...PLAIN, ...OF_A_JOB, ...TOLD];

describe('every error', () => {
  it('is specified here', () => {
    const classes = Object.entries(errors)
      .filter(
        ([, one]) => Object.prototype.isPrototypeOf.call(errors.RqError, one) && one !== errors.JobError,
      )
      .map(([name]) => name);
    expect(ALL.map(([name]) => name).toSorted()).toEqual(classes.toSorted());
  });

  it('has a code of its own', () => {
    expect(new Set(ALL.map(([, code]) => code)).size).toBe(ALL.length);
  });

  it.each(ALL)('%s has the code %s', (name, code, error) => {
    expect(error.code).toBe(code);
    expect(error.name).toBe(name);
    expect(error.constructor.name).toBe(name);
  });

  it.each(ALL)('%s is an RqError and an Error, with a stack', (name, _, error) => {
    expect(error).toBeInstanceOf(errors.RqError);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).not.toBe('');
    expect(error.stack).toContain(`${name}: ${error.message}`);
  });
});

describe('an error about a job', () => {
  it.each([...OF_A_JOB, ...TOLD])('%s carries the id', (_, __, error) => {
    expect(error).toBeInstanceOf(errors.JobError);
    expect(error.jobId).toBe(ID);
  });

  it.each(OF_A_JOB)('%s names the job in its message', (_, __, error) => {
    expect(error.message).toContain(ID);
  });

  it.each(PLAIN)('%s is none', (_, __, error) => {
    expect(error).not.toBeInstanceOf(errors.JobError);
  });
});

describe('what an error says', () => {
  it('NoSuchJobError: why a job may be gone', () => {
    expect(new errors.NoSuchJobError(ID).message).toMatch(/expired.*resultTtl.*deleted.*never was/);
  });

  it('DuplicateJobError: what the other job does, and what to do', () => {
    const error = new errors.DuplicateJobError(ID, 'started');
    expect(error.status).toBe('started');
    expect(error.message).toMatch(/is started: use another jobId, or delete/);
  });

  it('JobFailedError: what the function threw', () => {
    const error = new errors.JobFailedError(ID, remote);
    expect(error.remote).toEqual(remote);
    expect(error.message).toBe(`Job ${ID} failed: RangeError: out of it`);
  });

  it('JobFailedError: the name alone where there is no message', () => {
    const error = new errors.JobFailedError(ID, { ...remote, message: '' });
    expect(error.message).toBe(`Job ${ID} failed: RangeError`);
  });

  it('WaitTimeoutError: how long was waited, and what the job does', () => {
    expect(new errors.WaitTimeoutError(ID, 30, 'queued').message).toMatch(/30 s.*queued/);
  });

  it('FunctionNotRegisteredError: what is registered', () => {
    expect(new errors.FunctionNotRegisteredError(ID, 'f', ['add', 'sum']).message).toMatch(/'f'.*add, sum/);
    expect(new errors.FunctionNotRegisteredError(ID, 'f', []).message).toMatch(/'f'.*none is/);
  });

  it('WorkerNameTakenError: the name, and what to do', () => {
    expect(new errors.WorkerNameTakenError('w1').message).toMatch(/named w1: give this one another name/);
  });

  it('JobTimeoutError: the timeout', () => {
    expect(new errors.JobTimeoutError(ID, 5).message).toContain('timeout of 5 s');
  });
});

describe('an error that something caused', () => {
  const cause = new Error('ECONNREFUSED');

  it.each([
    new errors.ConnectionError('x', { cause }),
    new errors.OutcomeUnknownError('x', { cause }),
    new errors.RedisRefusedError('x', { cause }),
    new errors.InvalidJobError(ID, 'x', { cause }),
  ])('$name keeps the cause', error => {
    expect(error.cause).toBe(cause);
  });

  it('has no cause where there is none', () => {
    expect('cause' in new errors.ConnectionError('x')).toBe(false);
  });
});

describe('a subclass of RqError', () => {
  it('has its own name', () => {
    class MyError extends errors.RqError {}
    expect(new MyError('MY', 'mine')).toMatchObject({ name: 'MyError', code: 'MY', message: 'mine' });
  });
});
