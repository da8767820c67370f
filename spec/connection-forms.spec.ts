import { Cluster, Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Link, type ConnectionOption } from '../lib/connection.ts';

// nothing here connects to anywhere

/** What a spec opened. */
let open: { close(): void }[] = [];

afterEach(() => {
  for (const one of open) one.close();
  open = [];
});

function linkTo(connection: ConnectionOption | undefined): Link {
  const link = Link.to(connection);
  open.push(link);
  return link;
}

const messageOf = (connection: unknown): string => {
  try {
    linkTo(connection as ConnectionOption);
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
  return 'accepted';
};

describe('Link.to, the forms it accepts', () => {
  it.each<[connection: ConnectionOption, address: string, options: object]>([
    ['redis://127.0.0.1', '127.0.0.1:6379', { db: 0 }],
    ['redis://redis.internal:7000', 'redis.internal:7000', { db: 0 }],
    ['redis://h:1/', 'h:1', { db: 0 }],
    ['redis://h:1/3', 'h:1', { db: 3 }],
    ['redis://me:p%40ss@h:1/3', 'h:1', { username: 'me', password: 'p@ss', db: 3 }],
    ['redis://:secret@h', 'h:6379', { password: 'secret' }],
    ['rediss://h:1', 'h:1', { tls: expect.anything() as unknown }],
    ['unix:///run/redis.sock', '/run/redis.sock', { path: '/run/redis.sock' }],
    [{ host: 'h', port: 7000, password: 'secret' }, 'h:7000', { password: 'secret' }],
    [{}, 'localhost:6379', {}],
    [{ path: '/run/redis.sock' }, '/run/redis.sock', {}],
    [
      { sentinels: [{ host: 's1', port: 1 }, { host: 's2' }], name: 'main', sentinelPassword: 'secret' },
      'main (Sentinel s1:1, s2:26379)',
      {},
    ],
  ])('%o: connects to %s', (connection, address, options) => {
    const link = linkTo(connection);
    expect(link.address.replace('127.0.0.1', 'localhost')).toBe(address.replace('127.0.0.1', 'localhost'));
    expect(link.redis.options).toMatchObject(options);
    expect(link.address).not.toContain('secret');
  });

  it('opens no connection before it is needed', () => {
    expect(linkTo('redis://h:1').redis.status).toBe('wait');
  });

  it('decodes a socket’s path', () => {
    expect(linkTo('unix:///tmp/a%20b.sock').redis.options.path).toBe('/tmp/a b.sock');
  });

  it('keeps its own settings, whatever the options say', () => {
    const options = {
      host: 'h',
      lazyConnect: false,
      enableOfflineQueue: true,
      maxRetriesPerRequest: 20,
      protocol: 3,
    };
    expect(linkTo(options as ConnectionOption).redis.options).toMatchObject({
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      protocol: 2,
    });
  });

  describe('without a connection', () => {
    beforeEach(() => vi.unstubAllEnvs());
    afterEach(() => vi.unstubAllEnvs());

    it('goes to RQ_REDIS_URL', () => {
      vi.stubEnv('RQ_REDIS_URL', 'redis://elsewhere:7001/2');
      const link = linkTo(undefined);
      expect(link.address).toBe('elsewhere:7001');
      expect(link.redis.options.db).toBe(2);
    });

    it('goes to 127.0.0.1:6379 where that is not set', () => {
      vi.stubEnv('RQ_REDIS_URL', undefined);
      expect(linkTo(undefined).address).toBe('127.0.0.1:6379');
    });
  });
});

describe('Link.to, what it refuses', () => {
  it.each(['redis://h/name', 'redis://h/0/1', 'redis://h/-1'])('%j, whose path is no database', url => {
    expect(messageOf(url)).toMatch(/Redis URL must be .*number/);
    expect(messageOf(url)).toContain('redis://[user:password@]host[:port][/database]');
  });

  it.each([
    ['http://h:1', '"http:"'],
    ['localhost:6379', '"localhost:"'],
  ])('%j, and quotes %s', (url, quoted) => {
    expect(messageOf(url)).toContain(quoted);
    expect(messageOf(url)).toContain('redis://[user:password@]host[:port][/database]');
  });

  it.each(['', '127.0.0.1:6379', 'redis', 'redis://h:port', '/run/redis.sock'])('%j', url => {
    expect(messageOf(url)).toMatch(/^The Redis URL can't be read: redis:\/\/.* is accepted$/);
  });

  it.each([
    [42, '42'],
    [true, 'true'],
    [[], 'an array'],
    [() => 1, 'function (unnamed)'],
  ])('%o, and quotes it', (connection, quoted) => {
    expect(messageOf(connection)).toBe(
      `connection must be an ioredis client, a URL or ioredis options, not ${quoted}`,
    );
  });

  it.each([
    'redis://:hunter2@h:port',
    ':hunter2@h:6379',
    'me:hunter2@h:6379',
    'http://me:hunter2@h',
    'redis://me:hunter2@h/name',
    'redis://me:1/hunter2@h:6379',
    'redis://me:hunter2@h:99999',
  ])('%j without telling the password', url => {
    expect(messageOf(url)).not.toBe('accepted');
    expect(messageOf(url)).not.toContain('hunter2');
  });

  it('a client with keyPrefix, and says why', () => {
    const client = new Redis({ lazyConnect: true, keyPrefix: 'app:' });
    open.push({ close: () => client.disconnect() });
    expect(messageOf(client)).toMatch(/keyPrefix.*queue's own prefix option/);
  });

  it('options with keyPrefix', () => {
    expect(messageOf({ host: 'h', keyPrefix: 'app:' })).toMatch(/keyPrefix/);
  });

  it('a URL with keyPrefix', () => {
    expect(messageOf('redis://h:1?keyPrefix=app:')).toMatch(/keyPrefix/);
  });

  it('a Redis Cluster, and says what to use', () => {
    const cluster = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true });
    open.push({ close: () => cluster.disconnect() });
    expect(messageOf(cluster)).toMatch(/Cluster.*hash slot.*one Redis, or Sentinel/);
  });
});
