/** A folder of a spec file's own, gone when the file ends. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

export interface Folder {
  readonly path: string;
  /** The path of what is in it, or may be. */
  of(...names: readonly string[]): string;
  /** Writes a file and gives its path. */
  write(name: string, text: string): Promise<string>;
}

export function useFolder(): Folder {
  let path = '';
  const of = (...names: readonly string[]): string => join(path, ...names);
  beforeAll(async () => {
    path = await mkdtemp(join(tmpdir(), 'rq-node-spec-'));
  });
  afterAll(() => rm(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    of,
    async write(name, text) {
      await writeFile(of(name), text);
      return of(name);
    },
  };
}
