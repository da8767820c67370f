import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import * as index from '../lib/index.ts';
import * as errors from '../lib/errors.ts';

interface Package {
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

async function readPackage(): Promise<Package> {
  return JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as Package;
}

describe('the public names', () => {
  it('are exactly these', () => {
    expect(Object.keys(index).toSorted()).toEqual([
      'CallbackTimeoutError',
      'ConnectionError',
      'CurrentJob',
      'DependencyCycleError',
      'DependencyFailedError',
      'DuplicateJobError',
      'FunctionNotRegisteredError',
      'Group',
      'InvalidJobError',
      'InvalidJobOperationError',
      'InvalidResultError',
      'Job',
      'JobCanceledError',
      'JobError',
      'JobFailedError',
      'JobSoftTimeoutError',
      'JobStoppedError',
      'JobTimeoutError',
      'LeaseLostError',
      'NoSuchJobError',
      'NonRetryableError',
      'OutcomeUnknownError',
      'Queue',
      'RedisRefusedError',
      'RedisSettingError',
      'Registry',
      'Retry',
      'Rq',
      'RqError',
      'ScheduledRegistry',
      'ShutdownError',
      'StopRequestedError',
      'VERSION',
      'WaitTimeoutError',
      'Worker',
      'WorkerNameTakenError',
      'getCurrentJob',
      'loadCrons',
      'loadErrorHook',
      'loadFunctions',
      'task',
    ]);
  });

  it('hold every error', () => {
    expect(index).toMatchObject(errors);
  });

  it('hold no default', () => {
    expect(index).not.toHaveProperty('default');
  });
});

describe('VERSION', () => {
  it('is the package’s', async () => {
    expect(index.VERSION).toBe((await readPackage()).version);
  });
});

describe('the package', () => {
  it('exports its index and its package.json, and nothing else', async () => {
    expect(Object.keys((await readPackage()).exports)).toEqual(['.', './package.json']);
  });
});
