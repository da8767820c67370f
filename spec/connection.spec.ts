import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { inspect } from 'node:util';
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Link, type ConnectionOption } from '../lib/connection.ts';
import { ConnectionError } from '../lib/errors.ts';
import { useRedis } from './support/in-process.ts';
import { freePort, startRedis, type RedisServer } from './support/redis.ts';

const server = useRedis();
/** A port that is nobody's, as a free one may be somebody's the next moment. */
const NOBODY = '127.0.0.1:1';
/** What a spec opened. */
let open: { close(): void }[] = [];

afterEach(() => {
  for (const one of open) one.close();
  open = [];
});

function linkTo(connection: ConnectionOption | undefined, deadlineMs?: number): Link {
  const link = Link.to(connection, deadlineMs === undefined ? {} : { deadlineMs });
  open.push(link);
  return link;
}

type ClientOptions = {
  readonly [Name in 'db' | 'lazyConnect' | 'enableAutoPipelining' | 'maxRetriesPerRequest']?: NonNullable<
    RedisOptions[Name]
  >;
};

function clientOf(port: number, options: ClientOptions = {}): Redis {
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => null, ...options });
  client.on('error', () => {});
  open.push({ close: () => client.disconnect() });
  return client;
}

async function refusalOf(promise: Promise<unknown>): Promise<ConnectionError> {
  const error: unknown = await promise.then(
    () => new Error('It was not refused'),
    (reason: unknown) => reason,
  );
  if (error instanceof ConnectionError) return error;
  throw error;
}

/** Resolves once a first attempt has failed and another is to come. */
function reconnecting({ redis }: Link): Promise<void> {
  return new Promise(resolve => redis.once('reconnecting', () => resolve()));
}

describe('Link.ready', () => {
  it('connects', async () => {
    const link = linkTo(server.url);
    expect(link.usable).toBe(false);
    await link.ready();
    expect(link.usable).toBe(true);
    expect(await link.redis.ping()).toBe('PONG');
  });

  it('goes to the database of the URL', async () => {
    const link = linkTo(`${server.url}/3`);
    await link.ready();
    expect(await link.redis.client('INFO')).toContain(' db=3 ');
  });

  it('shares one attempt between those who wait', async () => {
    const link = linkTo(server.url);
    const before = await received();
    await Promise.all([link.ready(), link.ready(), link.ready()]);
    expect(await received()).toBe(before + 1);
  });

  it('rejects within the deadline where nothing listens: says where, and that nothing was sent', async () => {
    const began = performance.now();
    const error = await refusalOf(linkTo(`redis://me:hunter2@${NOBODY}`, 1000).ready());
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(950);
    // 5 s are what it takes unless it is told otherwise
    expect(took).toBeLessThan(4500);
    expect(error.code).toBe('RQ_CONNECTION');
    expect(error.message).toMatch(
      new RegExp(`^No connection to Redis at ${NOBODY} within 1000 ms; nothing was sent.*ECONNREFUSED`),
    );
    expect(inspect(error, { depth: Infinity })).not.toContain('hunter2');
  });

  it('tries again when it is asked again, and finds a Redis that came meanwhile', async () => {
    const port = await freePort();
    const link = linkTo(`redis://127.0.0.1:${port}`, 1500);
    await refusalOf(link.ready());
    const late = await startRedis({ port });
    try {
      await link.ready();
      expect(await link.redis.ping()).toBe('PONG');
    } finally {
      link.close();
      await late.stop();
    }
  });

  it('finds a Redis that comes before the deadline', async () => {
    const port = await freePort();
    const link = linkTo(`redis://127.0.0.1:${port}`, 20_000);
    const ready = link.ready();
    await reconnecting(link);
    const late = await startRedis({ port });
    try {
      await ready;
      expect(link.usable).toBe(true);
    } finally {
      link.close();
      await late.stop();
    }
  });

  it('rejects within the deadline where somebody listens and says nothing', async () => {
    const silent: Server = createServer(socket => socket.resume().on('error', () => {})).listen(
      0,
      '127.0.0.1',
    );
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const link = linkTo(`redis://127.0.0.1:${port}`, 300);
    const error = await refusalOf(link.ready());
    expect(error.message).toContain(`127.0.0.1:${port} within 300 ms; nothing was sent`);
    link.close();
    silent.close();
    await once(silent, 'close');
  });

  it('comes back after the connection was cut', async () => {
    const link = linkTo(server.url);
    await link.ready();
    const closed = once(link.redis, 'close');
    await server.client.call('CLIENT', 'KILL', 'ID', await link.redis.client('ID'));
    await closed;
    await link.ready();
    expect(await link.redis.ping()).toBe('PONG');
  });

  it('is dropped once, and comes back, where many calls are late at the same time', async () => {
    const link = linkTo(server.url);
    await link.ready();
    const { stream } = link.redis;
    const listeners = stream.listenerCount('close');
    const closed = once(link.redis, 'close');
    for (let call = 0; call < 20; call++) link.reconnect();
    expect(stream.listenerCount('close')).toBe(listeners + 1);
    await closed;
    await link.ready();
    expect(await link.redis.ping()).toBe('PONG');
  });
});

describe('a wrong password', () => {
  let guarded: RedisServer;

  beforeAll(async () => {
    guarded = await startRedis({ args: ['--requirepass', 'right'] });
  });

  afterAll(async () => {
    await guarded.stop();
  });

  it('is a ConnectionError that says so', async () => {
    const link = linkTo(`redis://:hunter2@127.0.0.1:${guarded.port}`);
    const error = await refusalOf(link.ready());
    expect(error.message).toContain('WRONGPASS');
    expect(error.message).toContain(`127.0.0.1:${guarded.port}`);
  });

  it('is not told, however the error is looked at', async () => {
    const link = linkTo(`redis://me:hunter2@127.0.0.1:${guarded.port}`);
    const error = await refusalOf(link.ready());
    expect(error.message).not.toContain('hunter2');
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('hunter2');
    expect(JSON.stringify(error.cause ?? null)).not.toContain('hunter2');
  });

  it('does not keep the right one from working', async () => {
    const link = linkTo(`redis://:right@127.0.0.1:${guarded.port}`);
    await link.ready();
    expect(await link.redis.ping()).toBe('PONG');
  });
});

describe('a database that is refused', () => {
  it.each([
    ['as there is none of that number', '', '/99', /DB index is out of range \(this Redis has no database/],
    ['as the user may not go there', 'few:word@', '/1', /NOPERM .*select/],
  ])('%s, is a ConnectionError, and no other one is used', async (_, user, database, said) => {
    await server.client.call('ACL', 'SETUSER', 'few', 'on', '>word', '~*', '&*', '+@all', '-select');
    const link = linkTo(`redis://${user}127.0.0.1:${server.port}${database}`);
    for (let tries = 0; tries < 2; tries++) {
      const began = performance.now();
      expect((await refusalOf(link.ready())).message).toMatch(said);
      // it waits 5 s for what may come
      expect(performance.now() - began).toBeLessThan(4500);
      expect(link.usable).toBe(false);
    }
  });
});

describe('Link.close, of a connection of ours', () => {
  it('closes it', async () => {
    const link = linkTo(server.url);
    await link.ready();
    const ended = once(link.redis, 'end');
    link.close();
    await ended;
    expect(link.usable).toBe(false);
  });

  it('is safe twice, and before there was a connection', async () => {
    const link = linkTo(server.url);
    link.close();
    link.close();
    expect((await refusalOf(link.ready())).message).toContain('is closed');
  });

  it('lets nobody in afterwards', async () => {
    const link = linkTo(server.url);
    await link.ready();
    const ended = once(link.redis, 'end');
    link.close();
    await ended;
    const error = await refusalOf(link.ready());
    expect(error.message).toMatch(new RegExp(`^The connection to Redis at .*:${server.port} is closed`));
  });

  it('lets nobody in from the same moment on', async () => {
    const link = linkTo(server.url);
    await link.ready();
    link.close();
    expect((await refusalOf(link.ready())).message).toContain('is closed');
  });

  it('rejects those who wait', async () => {
    const link = linkTo(`redis://${NOBODY}`, 20_000);
    const waiting = refusalOf(link.ready());
    await reconnecting(link);
    const began = performance.now();
    link.close();
    expect((await waiting).message).toContain('is closed');
    expect(performance.now() - began).toBeLessThan(4500);
  });
});

describe('a client that was handed in', () => {
  it('is used as it is', async () => {
    const client = clientOf(server.port);
    const link = linkTo(client);
    await link.ready();
    expect(link.redis).toBe(client);
    expect(link.address).toBe(`127.0.0.1:${server.port}`);
  });

  it('is connected where it was not', async () => {
    const link = linkTo(clientOf(server.port, { lazyConnect: true }));
    await link.ready();
    expect(await link.redis.ping()).toBe('PONG');
  });

  it('stays open', async () => {
    const client = clientOf(server.port);
    const link = linkTo(client);
    await link.ready();
    link.close();
    expect(await client.ping()).toBe('PONG');
    expect(client.status).toBe('ready');
  });

  it('is not waited for once its owner closed it', async () => {
    const client = clientOf(server.port);
    await once(client, 'ready');
    client.disconnect();
    await once(client, 'end');
    const began = performance.now();
    const error = await refusalOf(linkTo(client).ready());
    expect(error.message).toContain('is closed');
    expect(performance.now() - began).toBeLessThan(4500);
  });

  it('is brought back after it was cut where another link of ours made it', async () => {
    const maker = linkTo(server.url);
    const link = Link.to(maker.redis);
    await link.ready();
    const ended = once(maker.redis, 'end');
    await server.client.call('CLIENT', 'KILL', 'ID', await maker.redis.client('ID'));
    await ended;
    await link.ready();
    expect(await link.redis.ping()).toBe('PONG');
    link.close();
    expect([link.usable, maker.usable]).toEqual([false, true]);
  });

  it('has duplicates to the same place, which are ours to close', async () => {
    const client = clientOf(server.port, { db: 2 });
    const link = linkTo(client);
    const copy = link.duplicate();
    open.push(copy);
    await copy.ready();
    expect(copy.redis).not.toBe(client);
    expect(await copy.redis.client('INFO')).toContain(' db=2 ');
    const ended = once(copy.redis, 'end');
    copy.close();
    await ended;
    expect(await client.ping()).toBe('PONG');
  });

  it('has duplicates with our own settings', () => {
    const client = clientOf(server.port, { enableAutoPipelining: true, maxRetriesPerRequest: 20 });
    const copy = linkTo(client).duplicate();
    open.push(copy);
    expect(copy.redis.options).toMatchObject({
      enableAutoPipelining: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResubscribe: false,
    });
  });
});

describe('Link.own', () => {
  it('makes a connection of ours to where a client that was handed in goes', async () => {
    const client = clientOf(server.port, { db: 1 });
    const link = Link.own(client);
    open.push(link);
    await link.ready();
    expect(link.redis).not.toBe(client);
    expect(await link.redis.client('INFO')).toContain(' db=1 ');
    const ended = once(link.redis, 'end');
    link.close();
    await ended;
    expect(await client.ping()).toBe('PONG');
  });

  it('refuses what Link.to refuses', () => {
    expect(() => Link.own('http://h')).toThrow(TypeError);
    expect(() => Link.own({ keyPrefix: 'app:' })).toThrow(/keyPrefix/);
  });
});

/** How many connections Redis has accepted so far. */
async function received(): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(await server.client.info('stats'))?.[1]);
}
