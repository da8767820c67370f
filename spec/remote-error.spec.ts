import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { JobTimeoutError } from '../lib/errors.ts';
import { errorText, parseErrorText } from '../lib/remote-error.ts';

class NoSuchPageError extends RangeError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NoSuchPageError';
  }
}

class Unnamed extends Error {}

/** Without a stack, as `Error.stackTraceLimit = 0` or a library makes them. */
function stackless(error: Error): Error {
  delete error.stack;
  return error;
}

describe('errorText', () => {
  it('begins with name and message, then the stack', () => {
    const [first, second] = errorText(new RangeError('out of it')).split('\n');
    expect(first).toBe('RangeError: out of it');
    expect(second).toMatch(/^ {4}at .*remote-error\.spec\.ts:\d+:\d+/);
  });

  it('shows an error’s code and further properties', () => {
    const error = Object.assign(new Error('no'), { code: 'ENOENT', path: '/x', detail: { tries: 3 } });
    const text = errorText(error);
    expect(text).toContain("code: 'ENOENT'");
    expect(text).toContain("path: '/x'");
    expect(text).toContain('detail: { tries: 3 }');
  });

  it('shows the cause, and the cause of that', () => {
    const low = new Unnamed('no disk');
    const text = errorText(new Error('no page', { cause: new NoSuchPageError('no file', { cause: low }) }));
    expect(text).toMatch(
      /^Error: no page\n[\s\S]*\[cause\]: NoSuchPageError: no file\n[\s\S]*\[cause\]:.*no disk/,
    );
  });

  it('shows the errors of an AggregateError', () => {
    const text = errorText(new AggregateError([new Error('one'), new RangeError('two')], 'both'));
    expect(text).toMatch(/^AggregateError: both\n/);
    expect(text).toContain('Error: one');
    expect(text).toContain('RangeError: two');
  });

  it('ends with an error that is its own cause', () => {
    const error = new Error('round');
    error.cause = error;
    expect(errorText(error)).toMatch(/^Error: round\n[\s\S]*\[Circular/);
  });

  it('gives name and message of our own errors, whose stack is the worker’s', () => {
    const error = new JobTimeoutError('job-1', 5);
    expect(errorText(error)).toBe(`JobTimeoutError: ${error.message}`);
  });

  it('is bounded, and cuts no character in two', () => {
    const text = errorText(new Error('🙂'.repeat(100_000)));
    expect(text.length).toBeLessThanOrEqual(64 * 1024 + 1);
    expect(text.isWellFormed()).toBe(true);
    expect(text.endsWith('…')).toBe(true);
  });
});

describe('errorText of what is no Error', () => {
  it.each<[value: unknown, shown: string]>([
    ['boom', "'boom'"],
    ['', "''"],
    [42, '42'],
    [undefined, 'undefined'],
    [null, 'null'],
    [5n, '5n'],
    [Symbol('s'), 'Symbol(s)'],
    [{ status: 404 }, '{ status: 404 }'],
    [['a'], "[ 'a' ]"],
  ])('%o: says what was thrown', (value, shown) => {
    expect(errorText(value)).toBe(`Error: thrown was ${shown}, not an Error`);
  });
});

describe('errorText of hostile values', () => {
  const never = (): never => {
    throw new Error('hostile');
  };

  it.each(['name', 'message', 'stack', 'cause', 'code'])('an Error whose %s throws', name => {
    const text = errorText(Object.defineProperty(new Error('x'), name, { get: never, enumerable: true }));
    expect(text).toMatch(/^Error\b/);
  });

  it('does not call getters', () => {
    let called = 0;
    const value = {
      get counted() {
        return ++called;
      },
    };
    expect(errorText(value)).toContain('counted');
    expect(called).toBe(0);
  });

  it('an object that throws when it is inspected', () => {
    expect(errorText({ [Symbol.for('nodejs.util.inspect.custom')]: never })).toMatch(/^Error: /);
  });

  it('a Proxy whose every trap throws', () => {
    const trap = {
      get: never,
      has: never,
      ownKeys: never,
      getPrototypeOf: never,
      getOwnPropertyDescriptor: never,
    };
    expect(errorText(new Proxy({}, trap))).toMatch(/^Error: /);
    expect(errorText(new Proxy(new Error('x'), trap))).toMatch(/^Error: /);
  });

  it('a Proxy that throws itself when it is looked at', () => {
    const hostile: object = new Proxy(
      {},
      {
        getPrototypeOf() {
          throw hostile;
        },
      },
    );
    let text: string | undefined;
    try {
      text = errorText(hostile);
    } catch {
      // what was thrown can't even be reported
    }
    expect(text).toMatch(/^Error: /);
  });

  it('a revoked Proxy', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(errorText(proxy)).toMatch(/^Error: /);
  });
});

describe('parseErrorText of what errorText wrote', () => {
  it.each<[error: Error, name: string, message: string]>([
    [new RangeError('out of it'), 'RangeError', 'out of it'],
    [new Error(''), 'Error', ''],
    [new TypeError(''), 'TypeError', ''],
    [new NoSuchPageError('no page'), 'NoSuchPageError', 'no page'],
    [new Unnamed('no name'), 'Unnamed', 'no name'],
    [new Error('first\nsecond\n\nthird'), 'Error', 'first\nsecond\n\nthird'],
    [new Error('with: a colon: or two'), 'Error', 'with: a colon: or two'],
    [Object.assign(new Error('no file'), { code: 'ENOENT' }), 'Error', 'no file'],
    [new Error('top', { cause: new RangeError('low') }), 'Error', 'top'],
    [new AggregateError([new Error('one')], 'many'), 'AggregateError', 'many'],
    [Object.assign(new Error('renamed'), { name: 'Bad Request' }), 'Bad Request', 'renamed'],
    [Object.assign(new Error('renamed'), { name: 'bad-request' }), 'bad-request', 'renamed'],
    [stackless(new TypeError('no stack')), 'TypeError', 'no stack'],
    [stackless(new Error('no\nstack')), 'Error', 'no\nstack'],
    [stackless(Object.assign(new Error('no stack'), { code: 'E_X' })), 'Error', 'no stack'],
  ])('%o: name and message', (error, name, message) => {
    const text = errorText(error);
    expect(parseErrorText(text)).toEqual({ name, message, stack: text });
  });

  it('an error of Node’s own, with its code beside the name', () => {
    let thrown: unknown;
    try {
      Buffer.from(new URL('nowhere').href);
    } catch (error) {
      thrown = error;
    }
    expect(parseErrorText(errorText(thrown))).toMatchObject({ name: 'TypeError', message: 'Invalid URL' });
  });

  it('an AbortError, which is a DOMException', () => {
    expect(parseErrorText(errorText(AbortSignal.abort().reason))).toMatchObject({
      name: 'AbortError',
      message: 'This operation was aborted',
    });
  });

  it('an error of another realm, with its own name', () => {
    const error: unknown = runInNewContext('new TypeError("elsewhere")');
    expect(parseErrorText(errorText(error))).toMatchObject({ name: 'TypeError', message: 'elsewhere' });
  });

  it('an error whose message was added to after its stack was made', () => {
    const error = new Error('no file');
    expect(error.stack).toContain('no file');
    error.message = `page 5: ${error.message}`;
    expect(parseErrorText(errorText(error)).message).toBe('page 5: no file');
  });

  it('one of our own errors', () => {
    const error = new JobTimeoutError('job-1', 5);
    expect(parseErrorText(errorText(error))).toMatchObject({
      name: 'JobTimeoutError',
      message: error.message,
    });
  });

  it('what is no Error', () => {
    expect(parseErrorText(errorText('boom'))).toMatchObject({
      name: 'Error',
      message: "thrown was 'boom', not an Error",
    });
  });
});

describe('parseErrorText of a Python traceback', () => {
  const head = `Traceback (most recent call last):
  File "/usr/lib/python3/rq/worker.py", line 1430, in perform_job
    rv = job.perform()
         ^^^^^^^^^^^^^
  File "/app/tasks.py", line 3, in fail
    raise it
`;

  it.each([
    ['ValueError: no page\n', 'ValueError', 'no page'],
    ["KeyError: 'x'\n", 'KeyError', "'x'"],
    ['ZeroDivisionError: division by zero', 'ZeroDivisionError', 'division by zero'],
    ['KeyboardInterrupt\n', 'KeyboardInterrupt', ''],
    ['requests.exceptions.HTTPError: 404: not found\n', 'requests.exceptions.HTTPError', '404: not found'],
    ['ValueError: first\nsecond\n', 'ValueError', 'first\nsecond'],
    ['ValueError: first\n\n  indented: third\nlast\n', 'ValueError', 'first\n\n  indented: third\nlast'],
  ])('%j: name and message', (tail, name, message) => {
    expect(parseErrorText(head + tail)).toEqual({ name, message, stack: head + tail });
  });

  it('takes the last of a chain', () => {
    const text = `${head}KeyError: 'a'

During handling of the above exception, another exception occurred:

${head}RuntimeError: gave up
`;
    expect(parseErrorText(text)).toMatchObject({ name: 'RuntimeError', message: 'gave up' });
  });
});

describe('parseErrorText of other texts', () => {
  it.each([
    'Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ',
    'Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-20 09:22:23',
    'something went wrong',
  ])('takes %j for a message', text => {
    expect(parseErrorText(text)).toEqual({ name: 'Error', message: text.trimEnd(), stack: text });
  });

  it('makes an Error without a message of an empty one', () => {
    expect(parseErrorText('')).toEqual({ name: 'Error', message: '', stack: '' });
  });

  it('reads a long text in no time', () => {
    const text = `Error: ${'a\n    b '.repeat(200_000)}`;
    expect(parseErrorText(text).name).toBe('Error');
  });
});
