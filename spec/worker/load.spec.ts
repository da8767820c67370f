import { mkdir } from 'node:fs/promises';
import { relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadFunctions } from '../../lib/worker/load.ts';
import { useFolder } from '../support/folder.ts';
import { WorkerProcess } from '../support/worker-process.ts';

const folder = useFolder();

const names = async (...modules: readonly string[]): Promise<string[]> =>
  [...(await loadFunctions(modules)).keys()].toSorted();

describe('loadFunctions', () => {
  it('registers exported functions under their export names', async () => {
    const path = await folder.write(
      'plain.mjs',
      'export const add = (x, y) => x + y; export function sub() {} export const limit = 3; export class Thing {}',
    );
    const table = await loadFunctions([path]);
    expect([...table.keys()].toSorted()).toEqual(['add', 'sub']);
    expect(table.get('add')?.(2, 3)).toBe(5);
  });

  it('puts a prefix and a dot before each name', async () => {
    const path = await folder.write('feeds.mjs', 'export const fetchAll = () => 1;');
    expect(await names(`feeds=${path}`)).toEqual(['feeds.fetchAll']);
  });

  it('takes several modules', async () => {
    const a = await folder.write('a.mjs', 'export const one = () => 1;');
    const b = await folder.write('b.mjs', 'export const two = () => 2;');
    expect(await names(a, `b=${b}`)).toEqual(['b.two', 'one']);
  });

  it('reads a path as relative to the working directory', async () => {
    const path = await folder.write('relative.mjs', 'export const here = () => 1;');
    expect(await names(relative(process.cwd(), path))).toEqual(['here']);
  });

  it('warns where an export’s name and its function’s differ', async () => {
    const path = await folder.write('renamed.mjs', 'function a1() {} export { a1 as sendMail };');
    const warnings: string[] = [];
    await loadFunctions([path], text => warnings.push(text));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("'a1'");
    expect(warnings[0]).toContain("'sendMail'");
    expect(warnings[0]).toContain('renamed.mjs');
  });
});

describe('loadFunctions: errors are one line that names the module', () => {
  const failure = async (...modules: readonly string[]): Promise<string> => {
    const error: unknown = await loadFunctions(modules).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    const { message } = error as TypeError;
    expect(message).not.toContain('\n');
    return message;
  };

  it('a file that is missing', async () => {
    const path = folder.of('none.mjs');
    const message = await failure(path);
    expect(message).toContain("Functions can't be loaded from");
    expect(message).toContain(`there is no file ${path}`);
  });

  it('a package that is missing', async () => {
    expect(await failure('no-such-package-at-all')).toContain('no-such-package-at-all');
  });

  it('a directory', async () => {
    const path = folder.of('directory');
    await mkdir(path);
    expect(await failure(path)).toContain(`${path} is a directory: name a file in it`);
  });

  it('a module that throws', async () => {
    const path = await folder.write('throws.mjs', "throw new RangeError('first line\\nsecond line');");
    const message = await failure(path);
    expect(message).toContain('throws.mjs');
    expect(message).toContain('first line');
  });

  it('a module that throws something else than an Error', async () => {
    expect(await failure(await folder.write('text.mjs', "throw 'just text';"))).toContain('just text');
  });

  it('a module that exports no function', async () => {
    expect(await failure(await folder.write('empty.mjs', 'export const a = 1;'))).toContain(
      'It exports no function',
    );
  });

  it('a name that two functions have', async () => {
    const a = await folder.write('first.mjs', 'export const same = () => 1;');
    const b = await folder.write('second.mjs', 'export const same = () => 2;');
    const message = await failure(a, b);
    expect(message).toContain("Two functions are named 'same'");
    expect(message).toContain('second.mjs');
  });

  it('a prefix without a module', async () => {
    expect(await failure('feeds=')).toContain('[prefix=]module is accepted, not "feeds="');
  });

  it('a prefix that no name can begin with', async () => {
    expect(await failure('a b=./x.mjs')).toContain('"a b"');
  });

  it('control characters in what was thrown are escaped', async () => {
    const path = await folder.write('control.mjs', "throw new Error('red\\u001b[31m');");
    expect(await failure(path)).toContain('red\\x1b[31m');
  });
});

// the test runner has an import of its own, so these are of a real worker
describe('loadFunctions in rq-worker', () => {
  it('loads a path with characters that a URL would escape', async () => {
    const odd = await folder.write('a #1 %41?.mjs', 'export const odd = () => 1;');
    const taken = await folder.write('taken.mjs', 'export const odd = () => 2;');
    const worker = new WorkerProcess(['--functions', odd, '--functions', taken]);
    expect(await worker.exit()).toEqual({ code: 1, signal: null });
    expect(worker.err).toContain("taken.mjs\": Two functions are named 'odd'");
  });

  it('says what to do with a .ts file on a Node that strips no types', async () => {
    const path = await folder.write('tasks.ts', 'export const add = (x: number): number => x;');
    const flags = ['--no-strip-types', '--no-experimental-strip-types'];
    const flag = flags.find(name => process.allowedNodeEnvironmentFlags.has(name)) ?? '';
    const args = ['--functions', path, '--url', 'redis://127.0.0.1:1'];
    const worker = new WorkerProcess(args, { NODE_OPTIONS: flag });
    expect(await worker.exit()).toEqual({ code: 1, signal: null });
    expect(worker.err).toContain(`Node ${process.versions.node} can't run .ts files itself`);
    expect(worker.err).toContain('--import tsx');
  });
});
