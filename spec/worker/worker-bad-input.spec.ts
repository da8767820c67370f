import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { WorkerOptions } from '../../lib/worker/settings.ts';
import { Worker, type WorkOptions } from '../../lib/worker/worker.ts';

const functions = { f: (): number => 1 };
const make = (options: object, queues: unknown = 'q'): Worker =>
  new Worker(queues as string, { functions, ...options });

describe('new Worker', () => {
  it('listens on default where no queue is named', () => {
    expect(new Worker(undefined, { functions }).queues).toEqual(['default']);
  });

  it('names itself by chance, with 32 characters', () => {
    const [a, b] = [make({}), make({})];
    expect(a.name).toMatch(/^[0-9a-f]{32}$/);
    expect(a.name).not.toBe(b.name);
  });

  it('listens on a queue once, however often it is named', () => {
    expect(make({}, ['a', 'b', 'a']).queues).toEqual(['a', 'b']);
  });

  it.each([
    ['no queue', [], 'queues must be a queue name, or an array of at least one, not an array'],
    ['a number', 7, 'queues must be a queue name, or an array of at least one, not 7'],
    ['an empty name', '', 'A queue name must be 1 to 128'],
    ['a space', 'a b', 'not "a b"'],
    ['a comma', ['a,b'], 'not "a,b"'],
    ['a colon', 'a:b', 'not "a:b"'],
    ['null among them', ['a', null], 'A queue name must be'],
  ])('refuses %s for queues', (_, queues, said) => {
    expect(() => make({}, queues)).toThrow(TypeError);
    expect(() => make({}, queues)).toThrow(said);
  });

  it.each<readonly [string, object, typeof TypeError | typeof RangeError, string]>([
    [
      'a concurrency of 0',
      { concurrency: 0 },
      RangeError,
      'concurrency must be a whole number of 1 or more, not 0',
    ],
    ['half a slot', { concurrency: 1.5 }, RangeError, 'not 1.5'],
    ['a concurrency that is a text', { concurrency: '4' }, TypeError, 'not "4"'],
    ['a name with a colon', { name: 'a:b' }, TypeError, 'A worker name must be'],
    ['an empty prefix', { prefix: '' }, TypeError, 'A prefix must be'],
    ['an unknown strategy', { dequeueStrategy: 'randon' }, TypeError, 'did you mean "random"?'],
    ['a resultTtl under a second', { resultTtl: '500ms' }, RangeError, 'resultTtl must be at least 1 second'],
    ['a negative shutdownTimeout', { shutdownTimeout: -1 }, RangeError, 'shutdownTimeout must be'],
    ['a grace that is no duration', { grace: '5 m' }, RangeError, 'grace must be'],
    ['a lease that is too short', { lease: 1 }, RangeError, 'lease must be 3 seconds or more, not 1'],
    [
      'allowEviction that is no flag',
      { allowEviction: 'yes' },
      TypeError,
      'allowEviction must be true or false',
    ],
    ['an unknown option', { concurency: 3 }, TypeError, 'did you mean "concurrency"?'],
    ['a connection that is none', { connection: 7 }, TypeError, 'connection must be'],
    [
      'logDescriptions that is no flag',
      { logDescriptions: 'no' },
      TypeError,
      'logDescriptions must be true or false',
    ],
  ])('refuses %s', (_, options, kind, said) => {
    expect(() => make(options)).toThrow(kind);
    expect(() => make(options)).toThrow(said);
  });

  it('refuses a logger that lacks pino’s methods', () => {
    expect(() => make({ logger: { info() {} } })).toThrow(TypeError);
  });

  it('refuses a client with keyPrefix', () => {
    const client = new Redis({ lazyConnect: true, keyPrefix: 'x:' });
    expect(() => make({ connection: client })).toThrow('keyPrefix');
    client.disconnect();
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a function', (): number => 1],
    ['an array', []],
    ['no function', { limit: 3 }],
    ['an empty object', {}],
    ['a class only', { URL }],
    ['a name with a space', { 'a b': (): number => 1 }],
  ])('refuses %s for functions', (_, given) => {
    expect(() => new Worker('q', { functions: given } as unknown as WorkerOptions)).toThrow(TypeError);
  });

  it('takes a Map by name', () => {
    expect(() => make({ functions: new Map([['a.b', (): number => 1]]) })).not.toThrow();
  });

  it('refuses a Map with what is no function', () => {
    expect(() => make({ functions: new Map([['a', 7]]) })).toThrow(TypeError);
  });

  it('connects to nothing', () => {
    const { name } = make({ connection: 'redis://127.0.0.1:1' });
    expect(name).toHaveLength(32);
  });
});

describe('Worker.work', () => {
  it.each<readonly [string, object, typeof TypeError | typeof RangeError, string]>([
    ['maxJobs 0', { maxJobs: 0 }, RangeError, 'maxJobs must be a whole number of 1 or more, not 0'],
    ['maxJobs that is a text', { maxJobs: '3' }, TypeError, 'maxJobs must be a whole number'],
    ['burst that is no flag', { burst: 1 }, TypeError, 'burst must be true or false, not 1'],
    ['a negative maxIdleTime', { maxIdleTime: -1 }, RangeError, 'maxIdleTime must be'],
    ['a maxIdleTime without a unit that is known', { maxIdleTime: '5y' }, RangeError, 'not "5y"'],
    ['an unknown option', { brust: true }, TypeError, 'did you mean "burst"?'],
  ])('refuses %s', (_, options, kind, said) => {
    const worker = make({ connection: 'redis://127.0.0.1:1' });
    expect(() => worker.work(options as WorkOptions)).toThrow(kind);
    expect(() => worker.work(options as WorkOptions)).toThrow(said);
  });
});
