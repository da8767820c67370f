/** Loads modules of functions by the paths that a command line gives. */
import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  checkFunctionName,
  register,
  type FunctionSource,
  type FunctionTable,
  type TaskFunction,
} from '../functions.ts';
import { escapeControls, messageOf, quote } from '../options.ts';
import type { ErrorHook } from './error-hooks.ts';

/** Milliseconds after which a module that is still loading is named. */
const SLOW_MS = 5_000;

/**
 * Imports modules, given as `./tasks.js` or `prefix=./tasks.js` relative to the working directory, or as a package's
 * name, and registers their exported functions.
 * @throws {TypeError} one line that names the module and the cause.
 */
export async function loadFunctions(
  modules: readonly string[],
  warn: (text: string) => void = () => {},
): Promise<FunctionTable> {
  const table = new Map<string, TaskFunction>();
  for (const given of modules) {
    const [, prefix = '', path = ''] = /^(?:([^=/\\]+)=)?(.*)$/s.exec(given) ?? [];
    try {
      if (path === '') throw new TypeError(`[prefix=]module is accepted, not ${quote(given)}`);
      if (prefix !== '') checkFunctionName(prefix);
      const source = await importModule(path, warn);
      register(table, source, { prefix, warn: text => warn(`${path}: ${text}`) });
    } catch (error) {
      const line = escapeControls(messageOf(error).split('\n', 1)[0] ?? '');
      throw new TypeError(`Functions can't be loaded from ${quote(path)}: ${line}`, { cause: error });
    }
  }
  return table;
}

/**
 * Imports a module by the same rules, whose default export is to be a hook for errors.
 * @throws {TypeError} one line that names the module and the cause.
 */
export async function loadErrorHook(
  path: string,
  warn: (text: string) => void = () => {},
): Promise<ErrorHook> {
  try {
    if (path === '') throw new TypeError('a module is needed');
    const { default: hook } = (await importModule(path, warn)) as { readonly default?: unknown };
    if (typeof hook !== 'function')
      throw new TypeError(`its default export must be a function (error, job), not ${quote(hook)}`);
    return hook as ErrorHook;
  } catch (error) {
    const line = escapeControls(messageOf(error).split('\n', 1)[0] ?? '');
    throw new TypeError(`No exception handler can be loaded from ${quote(path)}: ${line}`, { cause: error });
  }
}

/** Imports a module that a command line names, and warns of one that takes long. */
export async function importModule(path: string, warn: (text: string) => void): Promise<FunctionSource> {
  // an interval: what awaits without end must not end the process for want of anything else to do
  const slow = setInterval(
    () => warn(`${path} has been loading for ${SLOW_MS / 1000} s: does it await without end?`),
    SLOW_MS,
  );
  return importPath(path).finally(() => clearInterval(slow));
}

async function importPath(path: string): Promise<FunctionSource> {
  const isFile = /^\.{0,2}[/\\]/.test(path) || /\.[cm]?[jt]s$/.test(path);
  const file = isFile ? resolve(path) : packageFile(path);
  if (file === undefined) return (await import(path)) as FunctionSource;
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) throw new TypeError(`there is no file ${file}`);
  if (found.isDirectory()) throw new TypeError(`${file} is a directory: name a file in it`);
  try {
    return (await import(pathToFileURL(file).href)) as FunctionSource;
  } catch (error) {
    const typescript =
      error instanceof Error && 'code' in error && error.code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? /"(\.[cm]?ts)" for (.*)/.exec(error.message)
        : null;
    if (typescript === null) throw error;
    throw new TypeError(
      `Node ${process.versions.node} can't run ${typescript[1]} files itself (${typescript[2]}): use Node 22.18 or later, ` +
        'or a loader (NODE_OPTIONS="--import tsx"), or name the compiled .js file',
      { cause: error },
    );
  }
}

/** Where a package is, seen from the working directory; `undefined` where only this module's own folder may know it. */
function packageFile(name: string): string | undefined {
  try {
    return createRequire(join(process.cwd(), 'rq-worker')).resolve(name);
  } catch {
    return undefined;
  }
}
