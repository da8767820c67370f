/** Real Redis servers for specs: each on a free port, in a folder of its own, gone when the spec ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** A client for looking at keys. */
  readonly client: Redis;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
  /** SIGKILL; the folder stays, for `startRedis({ dir, port })`. */
  kill(): Promise<void>;
  readonly dir: string;
}

export interface ServerOptions {
  /** Further arguments of `redis-server`, such as `['--appendonly', 'yes']`. */
  readonly args?: readonly string[];
  readonly port?: number;
  readonly dir?: string;
  /** Resolves when it answers, be it that it is loading its data. */
  readonly whileLoading?: boolean;
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export async function startRedis(options: ServerOptions = {}): Promise<RedisServer> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'rq-node-redis-')));
  for (;;) {
    const port = options.port ?? (await freePort());
    try {
      return await startOn(port, dir, options);
    } catch (error) {
      // another spec's server was quicker to take what was free a moment ago
      if (options.port !== undefined || !/Address already in use/.test(String(error))) throw error;
    }
  }
}

async function startOn(port: number, dir: string, options: ServerOptions): Promise<RedisServer> {
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
    ...(options.args ?? []),
  ];
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await ready(child, options.whileLoading === true ? /Server initialized/ : /eady to accept connections/);
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 1 });
  client.on('error', () => {});
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    client.disconnect();
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid as number,
    client,
    dir,
    kill: () => end('SIGKILL'),
    async stop() {
      await end('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function ready(child: ChildProcess, sign: RegExp): Promise<void> {
  let text = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (sign.test(text)) {
      child.stdout?.resume();
      return;
    }
  }
  throw new Error(`redis-server did not start:\n${text}`);
}
