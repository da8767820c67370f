/** Starts a private Redis, an HTTP server and a worker, runs the script against them, and leaves nothing behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const program = join(here, '../../dist/bin/rq-worker.js');
const dir = mkdtempSync(join(tmpdir(), 'rq-node-demo-'));
/** @type {import('node:child_process').ChildProcess[]} */
const children = [];

/** @param {string} text */
const say = text => console.log(`\n# ${text}`);

/** @param {string} command @param {string[]} args @param {NodeJS.ProcessEnv} [env] @param {'inherit' | 'ignore'} [stdio] */
function start(command, args, env = process.env, stdio = 'inherit') {
  const child = spawn(command, args, { stdio: ['ignore', stdio, 'inherit'], env });
  children.push(child);
  return child;
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} signal */
async function end(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** @param {import('node:net').Server} server */
async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

async function freePort() {
  const server = createTcpServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

/** @param {number} port @param {import('node:child_process').ChildProcess} server */
async function reachable(port, server) {
  while (server.exitCode === null) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await sleep(20);
    } finally {
      socket.destroy();
    }
  }
  throw new Error('redis-server ended before it could be reached');
}

// an interrupt ends the script, and with it all the rest
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => children.at(-1)?.kill('SIGTERM'));

const web = createServer((_, response) => response.end('Hello from the demo\n'));
try {
  const redisPort = await freePort();
  const env = { ...process.env, RQ_REDIS_URL: `redis://127.0.0.1:${redisPort}` };

  say(`redis-server on port ${redisPort}, its data in ${dir}`);
  const args = ['--port', String(redisPort), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  await reachable(redisPort, start('redis-server', args, env, 'ignore'));
  const webPort = await listen(web);

  say('rq-worker default http --functions scripts/demo/tasks.js');
  const worker = start(
    process.execPath,
    [program, 'default', 'http', '--functions', join(here, 'tasks.js')],
    env,
  );

  say('node scripts/demo/script.js');
  const script = start(process.execPath, [join(here, 'script.js'), `http://127.0.0.1:${webPort}/`], env);
  const [code] = await once(script, 'exit');

  say('the worker is told to stop');
  await end(worker, 'SIGTERM');
  process.exitCode = code === 0 && worker.exitCode === 0 ? 0 : 1;
} finally {
  web.close();
  for (const child of children) await end(child, 'SIGKILL');
  rmSync(dir, { recursive: true, force: true });
}
