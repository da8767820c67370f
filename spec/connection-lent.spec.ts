import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { Link } from '../lib/connection.ts';
import { Rq } from '../lib/index.ts';
import { useRedis } from './support/in-process.ts';

const server = useRedis();
/** What a spec opened. */
let open: Link[] = [];

afterEach(() => {
  for (const one of open) one.close();
  open = [];
});

/** A link of ours, and one that was handed its client. */
function pair(url: string): [own: Link, lent: Link] {
  const own = Link.own(url, { deadlineMs: 2000 });
  const lent = Link.to(own.redis);
  open.push(own, lent);
  return [own, lent];
}

describe('a client of ours that was handed in', () => {
  it('is opened by the link that made it, and opened anew after its end', async () => {
    const [own, lent] = pair(server.url);
    await lent.ready();
    const ended = once(own.redis, 'end');
    await server.client.call('CLIENT', 'KILL', 'ID', await own.redis.client('ID'));
    await ended;
    await lent.ready();
    expect(await lent.redis.ping()).toBe('PONG');
    lent.close();
    expect(await own.redis.ping()).toBe('PONG');
  });

  it('is waited for as long as that link waits, and its error says why', async () => {
    const [, lent] = pair('redis://127.0.0.1:1');
    await expect(lent.ready()).rejects.toThrow(
      'No connection to Redis at 127.0.0.1:1 within 2000 ms; nothing was sent: connect ECONNREFUSED',
    );
  });

  it('is dropped where a call of either is late', async () => {
    const [own, lent] = pair(server.url);
    await lent.ready();
    const closed = once(own.redis, 'close');
    lent.reconnect();
    await closed;
    await lent.ready();
    expect(own.usable).toBe(true);
  });
});

describe('Rq.queue', () => {
  it('is refused in words when its connection is', async () => {
    await using rq = new Rq({ connection: `redis://nobody:word@127.0.0.1:${server.port}` });
    const queue = rq.queue('q');
    for (let tries = 0; tries < 2; tries++)
      await expect(queue.enqueue('f')).rejects.toThrow(/^Redis at \S+ refused the connection.*WRONGPASS/);
  });
});
