/** Loads lists of crons from modules, by the paths that a command line gives. */
import type { CronEntry } from '../cron.ts';
import { QUEUE } from '../defaults.ts';
import { escapeControls, messageOf, quote } from '../options.ts';
import { importModule } from './load.ts';
import { checkCrons } from './settings.ts';

/**
 * Imports modules as `loadFunctions` does; the default export of each, or its export `cron`, is an array of crons. Those that
 * name no queue are on `queue`.
 * @throws {TypeError} one line that names the module and the cause.
 */
export async function loadCrons(
  modules: readonly string[],
  queue: string = QUEUE,
  warn: (text: string) => void = () => {},
): Promise<CronEntry[]> {
  const all: CronEntry[] = [];
  for (const path of modules) {
    try {
      const source = await importModule(path, warn);
      const exported = [source['default'], source['cron']];
      const list: unknown = exported.find(Array.isArray);
      if (list === undefined) {
        throw new TypeError(
          `its default export, or its export cron, must be an array of { pattern, fn, … }, not ${quote(exported.find(value => value !== undefined))}`,
        );
      }
      const crons = list as readonly CronEntry[];
      checkCrons(crons, queue);
      checkCrons(all.concat(crons), queue);
      all.push(...crons);
    } catch (error) {
      const line = escapeControls(messageOf(error).split('\n', 1)[0] ?? '');
      throw new TypeError(`Crons can't be loaded from ${quote(path)}: ${line}`, { cause: error });
    }
  }
  return all;
}
