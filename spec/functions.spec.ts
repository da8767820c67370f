import { beforeEach, describe, expect, it } from 'vitest';
import {
  checkFunctionName,
  functionName,
  register,
  setTaskOptions,
  taskOptions,
  type TaskFunction,
  type TaskOptions,
} from '../lib/functions.ts';

class Mailer {
  readonly to = 'a';
}

let table: Map<string, TaskFunction>;
let warnings: string[];
const warn = (text: string): void => {
  warnings.push(text);
};

beforeEach(() => {
  table = new Map();
  warnings = [];
});

/** A function of its own for each spec, as `task` notes options by function. */
function named(name: string): TaskFunction {
  const fn = (): string => name;
  return Object.defineProperty(fn, 'name', { value: name });
}

describe('register, validation', () => {
  it.each([
    [null, 'null'],
    [undefined, 'undefined'],
    ['./tasks.js', '"./tasks.js"'],
    [named('add'), 'function add'],
  ])('refuses %o, which is no module', (source, quoted) => {
    const register_ = (): void => register(table, source as unknown as Record<string, unknown>);
    expect(register_).toThrow(TypeError);
    expect(register_).toThrow(`not ${quoted}`);
  });

  it.each<[what: string, source: Record<string, unknown>]>([
    ['nothing', {}],
    ['no function', { version: '1', list: [1], Mailer }],
  ])('refuses what exports %s', (_, source) => {
    expect(() => register(table, source)).toThrow('It exports no function');
    expect(table.size).toBe(0);
  });

  it('refuses two functions of one name', () => {
    register(table, { add: named('add') });
    expect(() => register(table, { add: named('add') })).toThrow(TypeError);
    expect(() => register(table, { add: named('add') })).toThrow("Two functions are named 'add'");
  });

  it('refuses two exports that task gave one name', () => {
    const [a, b] = [named('a'), named('b')];
    setTaskOptions(a, { name: 'same' });
    setTaskOptions(b, { name: 'same' });
    expect(() => register(table, { a, b })).toThrow("Two functions are named 'same'");
  });

  it('refuses an export name with a space', () => {
    expect(() => register(table, { 'a b': named('a b') })).toThrow('without spaces, not "a b"');
  });
});

describe('register', () => {
  it('takes functions under their export names', () => {
    const [add, sum] = [named('add'), named('sum')];
    register(table, { add, sum, version: '1' }, { warn });
    expect([...table]).toEqual([
      ['add', add],
      ['sum', sum],
    ]);
    expect(warnings).toEqual([]);
  });

  it('takes asynchronous functions and generators as well', () => {
    register(table, {
      async later() {
        await Promise.resolve();
      },
      *each() {
        yield 1;
      },
    });
    expect([...table.keys()]).toEqual(['later', 'each']);
  });

  it('takes a module', async () => {
    register(table, await import('./support/tasks.js'));
    expect(table.get('sum')?.([42, 43])).toBe(85);
  });

  it('puts a prefix and a dot before each name', () => {
    register(table, { fetch: named('fetch'), parse: named('parse') }, { prefix: 'feeds', warn });
    expect([...table.keys()]).toEqual(['feeds.fetch', 'feeds.parse']);
    expect(warnings).toEqual([]);
  });

  it('keeps functions of one name apart by prefix', () => {
    register(table, { fetch: named('fetch') }, { prefix: 'feeds' });
    register(table, { fetch: named('fetch') }, { prefix: 'mails' });
    expect([...table.keys()]).toEqual(['feeds.fetch', 'mails.fetch']);
  });

  it('takes the name that task gave', () => {
    const add = named('a1');
    setTaskOptions(add, { name: 'add' });
    register(table, { minified: add }, { warn });
    expect([...table.keys()]).toEqual(['add']);
    expect(warnings).toEqual([]);
  });

  it('takes the same function twice', () => {
    const add = named('add');
    register(table, { add });
    register(table, { add });
    expect(table.size).toBe(1);
  });

  it('passes classes over', () => {
    register(table, { Mailer, add: named('add') });
    expect([...table.keys()]).toEqual(['add']);
  });

  it('takes a default export under its own name', () => {
    register(table, { default: named('crunch') }, { warn });
    expect([...table.keys()]).toEqual(['crunch']);
    expect(warnings).toEqual([]);
  });

  it('takes a default export under the name that task gave', () => {
    const fn = named('default');
    setTaskOptions(fn, { name: 'crunch' });
    register(table, { default: fn });
    expect([...table.keys()]).toEqual(['crunch']);
  });

  it('passes a default export without a name over', () => {
    register(table, { default: named('default'), add: named('add') });
    expect([...table.keys()]).toEqual(['add']);
  });

  it('takes a function that is exported by name and as default once', () => {
    const add = named('add');
    register(table, { add, default: add });
    expect([...table.keys()]).toEqual(['add']);
  });

  it('warns where an export’s name and its function’s differ', () => {
    register(table, { add: named('a1') }, { warn });
    expect([...table.keys()]).toEqual(['add']);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/'a1'.*'add'.*task\(fn, \{ name \}\)/);
  });

  it('warns of nothing where the function has no name', () => {
    register(table, { add: named('') }, { warn });
    expect([...table.keys()]).toEqual(['add']);
    expect(warnings).toEqual([]);
  });

  it('needs no warn', () => {
    register(table, { add: named('a1') });
    expect([...table.keys()]).toEqual(['add']);
  });
});

describe('functionName', () => {
  it('is the function’s own', () => {
    expect(functionName(named('add'))).toBe('add');
  });

  it('is the one that task gave, where it gave one', () => {
    const fn = named('a1');
    setTaskOptions(fn, { name: 'add' });
    expect(functionName(fn)).toBe('add');
    setTaskOptions(fn, { timeout: 5 });
    expect(functionName(fn)).toBe('a1');
  });

  it.each(['sum', 'http.get', 'a:b', 'naïve', 'x'.repeat(256)])('is the text that is given: %j', name => {
    expect(functionName(name)).toBe(name);
  });

  it.each(['', 'default'])('refuses a function that is called %j, and says what to do', name => {
    expect(() => functionName(named(name))).toThrow(TypeError);
    expect(() => functionName(named(name))).toThrow("give it one with task(fn, { name: '…' })");
  });

  it.each(['', ' ', 'a b', 'a\n', '\u001b[2J', 'x'.repeat(257)])('refuses the name %j', name => {
    expect(() => functionName(name)).toThrow(TypeError);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    [{ name: 'f' }, 'an object (Object)'],
  ])('refuses %o, and quotes it', (fn, quoted) => {
    expect(() => functionName(fn as unknown as string)).toThrow(TypeError);
    expect(() => functionName(fn as unknown as string)).toThrow(`not ${quoted}`);
  });
});

describe('checkFunctionName', () => {
  it('quotes what came, bounded', () => {
    expect(() => checkFunctionName('a b')).toThrow(
      'A function\'s name must be 1 to 256 characters without spaces, not "a b"',
    );
    expect(() => checkFunctionName(5 as unknown as string)).toThrow('not 5');
  });
});

describe('setTaskOptions', () => {
  it('notes what it was given', () => {
    const fn = named('add');
    expect(taskOptions(fn)).toBeUndefined();
    setTaskOptions(fn, { name: 'add', queue: 'high', timeout: '1m' });
    expect(taskOptions(fn)).toEqual({ name: 'add', queue: 'high', timeout: '1m' });
  });

  it('refuses what is no function', () => {
    const set = (): void => setTaskOptions('add' as unknown as TaskFunction, {});
    expect(set).toThrow(TypeError);
    expect(set).toThrow('task needs a function, not "add"');
  });

  it.each<[options: unknown, said: string]>([
    [null, 'The options of task must be an object, not null'],
    [{ tiemout: 5 }, 'Unknown option of task "tiemout": did you mean "timeout"?'],
    [{ jobId: '1' }, 'Unknown option of task "jobId"'],
    [{ kwargs: {} }, 'Unknown option of task "kwargs"'],
    [{ name: '' }, 'without spaces, not ""'],
    [{ name: 'a b' }, 'without spaces, not "a b"'],
    [{ name: 5 }, 'without spaces, not 5'],
    [{ queue: 'a b' }, 'A queue name must be 1 to 128 of A-Z a-z 0-9 _ . - and not "a b"'],
    [{ timeout: 'soon' }, 'not "soon"'],
    [{ timeout: 0 }, 'not 0'],
    [{ ttl: '500ms' }, 'not "500ms"'],
    [{ resultTtl: -5 }, 'not -5'],
    [{ failureTtl: [] }, 'not an array'],
    [{ description: '' }, 'not ""'],
    [{ atFront: 1 }, 'not 1'],
    [{ meta: [] }, 'not an array'],
    [{ meta: { when: new Date(0) } }, 'meta.when is a Date'],
  ])('refuses %o', (options, said) => {
    const fn = named('add');
    expect(() => setTaskOptions(fn, options as TaskOptions)).toThrow(said);
    expect(taskOptions(fn)).toBeUndefined();
  });
});
