/** Sections of README.md, pasted: their files are written to a folder, and their commands run there, as a reader would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));
export const README: string = readFileSync(join(ROOT, 'README.md'), 'utf8');

interface Block {
  /** Language of a file; '' for what is typed in a terminal. */
  readonly kind: string;
  readonly text: string;
}

/** A command of a reader's shell, and what it is to print. */
export interface Step {
  readonly command: string;
  readonly output: string;
}

export interface Section {
  readonly text: string;
  /** Files by the name that their first line says, such as `// tasks.js`. */
  readonly files: ReadonlyMap<string, string>;
  /** Files without a name. */
  readonly pieces: readonly string[];
  /** The commands of each session. */
  readonly sessions: readonly (readonly Step[])[];
}

/** The text under a heading of the second level, or of the third. */
export function section(heading: string, level: 2 | 3 = 2): Section {
  const pattern = `^#{${level}} ${heading}\\n([\\s\\S]*?)^#{2,${level}} `;
  const [, text = ''] = new RegExp(pattern, 'm').exec(README) ?? [];
  const blocks: readonly Block[] = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(
    ([, kind = '', body = '']) => ({ kind, text: body }),
  );
  const files = blocks
    .filter(({ kind }) => kind !== '')
    .map(block => [nameOf(block.text), block.text] as const);
  return {
    text,
    files: new Map(files.flatMap(([name, body]) => (name === undefined ? [] : [[name, body]]))),
    pieces: files.flatMap(([name, body]) => (name === undefined ? [body] : [])),
    sessions: blocks.filter(({ kind }) => kind === '').map(block => stepsOf(block.text)),
  };
}

function nameOf(text: string): string | undefined {
  return /^(?:\/\/|#) (\S+\.\w+)\b/.exec(text)?.[1];
}

function stepsOf(text: string): Step[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map(step => {
      const end = step.indexOf('\n');
      return { command: step.slice(0, end), output: step.slice(end + 1) };
    });
}

/** What a script is to print, by the comments behind its `console.log(…)`. */
export function expectedOutput(script: string): string {
  return [...script.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)]
    .map(([, said = '']) => `${said}\n`)
    .join('');
}

/** What a reader has: a folder with the package installed, a Redis, and programs. */
export class Reader {
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #started: ChildProcess[] = [];

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.#env = env;
  }

  /** `path` is where programs are found besides. */
  static async start(redisUrl: string, path: string = ''): Promise<Reader> {
    const folder = await mkdtemp(join(tmpdir(), 'rq-node-readme-'));
    // what `npm install rq-node` makes
    await mkdir(join(folder, 'node_modules', '.bin'), { recursive: true });
    await symlink(ROOT, join(folder, 'node_modules', 'rq-node'));
    for (const name of ['rq', 'rq-worker']) {
      const program = join(ROOT, 'dist', 'bin', `${name}.js`);
      const bin = join(folder, 'node_modules', '.bin', name);
      await writeFile(bin, `#!/bin/sh\nexec node '${program}' "$@"\n`, { mode: 0o755 });
    }
    return new Reader(folder, {
      ...process.env,
      PATH: `${path}:${process.env['PATH'] ?? ''}`,
      RQ_REDIS_URL: redisUrl,
      PYTHONDONTWRITEBYTECODE: '1',
    });
  }

  async write(files: Iterable<readonly [name: string, text: string]>): Promise<void> {
    for (const [name, text] of files) await writeFile(join(this.folder, name), text);
  }

  /** Runs a command; its output once it ended, or '' at once for one that ends with `&`. */
  async run(line: string): Promise<string> {
    const background = line.endsWith(' &');
    const child = spawn('sh', ['-c', `exec ${line.replace(/ &$/, '')}`], {
      cwd: this.folder,
      // a group of its own, so that what it starts can be ended with it
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#env,
    });
    this.#started.push(child);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    if (background) return '';
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${line} ended with ${String(code)}:\n${out}${err}`);
    return out;
  }

  /** Ends what it started, and removes the folder. */
  async end(): Promise<void> {
    for (const child of this.#started) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      process.kill(-child.pid, 'SIGKILL');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
