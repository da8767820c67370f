/** Where and with what was measured. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { commandOf, hasPython, isPythons } from './subject.js';

export function machine() {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cpus: processors.length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    kernel: `${type()} ${release()}`,
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}

/** @returns {Promise<Record<string, string>>} */
export async function versions(/** @type {readonly string[]} */ subjects) {
  const { VERSION } = await import('../../dist/lib/index.js');
  /** @type {Record<string, string>} */
  const found = {
    Node: process.versions.node,
    Redis: /v=([0-9.]+)/.exec(run('redis-server', ['--version']))?.[1] ?? 'unknown',
    'rq-node': [VERSION, commit()].filter(Boolean).join(' '),
    BullMQ: packageVersion('bullmq'),
    'bee-queue': packageVersion('bee-queue'),
    ioredis: packageVersion('ioredis'),
  };
  const python = subjects.find(isPythons);
  if (python !== undefined && hasPython()) {
    const { command, args } = commandOf(python);
    Object.assign(found, JSON.parse(run(command, [...args, '--versions'])));
  }
  return found;
}

function packageVersion(/** @type {string} */ name) {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return /** @type {string} */ (JSON.parse(readFileSync(file, 'utf8')).version);
}

/** The commit that was measured, where git knows it. */
function commit() {
  try {
    return run('git', ['describe', '--always', '--dirty']);
  } catch {
    return '';
  }
}

function run(/** @type {string} */ command, /** @type {string[]} */ args) {
  const cwd = new URL('.', import.meta.url);
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
