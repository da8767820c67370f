/** A redis-server of our own for each cell: a free port, a folder of its own, gone afterwards. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** Milliseconds until all who measured must have left. */
const LEAVE_MS = 10_000;

/**
 * A fresh server has no scripts, no keys and no clients that another subject left. Without persistence, or with the
 * append-only file written every second.
 *
 * @param {{ aof: boolean }} options
 * @returns {Promise<import('./types.d.ts').RedisServer>}
 */
export async function startRedis({ aof }) {
  const dir = await mkdtemp(join(tmpdir(), 'rq-node-bench-'));
  const port = await freePort();
  const persistence = aof ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no'];
  const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  const child = spawn('redis-server', [...where, ...persistence], { stdio: ['ignore', 'ignore', 'inherit'] });
  const kill = () => child.kill('SIGKILL');
  const clear = () => {
    kill();
    rmSync(dir, { recursive: true, force: true });
  };
  process.once('exit', clear);
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 20, maxRetriesPerRequest: 250 });
  client.on('error', () => {});
  await client.ping();
  return {
    port,
    async restingBytes() {
      const until = performance.now() + LEAVE_MS;
      while (number(await client.info('clients'), 'connected_clients') > 1) {
        if (performance.now() > until) throw new Error('A client that has ended is still connected to Redis');
        await sleep(20);
      }
      return number(await client.info('memory'), 'used_memory');
    },
    async stop() {
      client.disconnect();
      process.off('exit', clear);
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      kill();
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Seconds of processor time that a server has used. */
export async function redisCpu(/** @type {Redis} */ client) {
  const info = await client.info('cpu');
  return number(info, 'used_cpu_user') + number(info, 'used_cpu_sys');
}

function number(/** @type {string} */ info, /** @type {string} */ field) {
  const found = new RegExp(`^${field}:([0-9.]+)`, 'm').exec(info);
  if (found === null) throw new Error(`Redis' INFO has no ${field}`);
  return Number(found[1]);
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return address.port;
}
