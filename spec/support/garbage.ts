/** What nobody wrote who keeps to the wire format: bytes for a field, ids for a list, and jobs made of both. */
import { deflateSync } from 'node:zlib';
import { ALL, type FaultCase } from './fault-case.ts';
import { MAKE, TYPES } from './wrong-type.ts';

const GOOD = '["echo",null,[1],{}]';
const STATUSES = ['queued', 'started', 'finished', 'failed', 'deferred', 'scheduled', 'canceled', 'stopped'];

// prettier-ignore
const TEXTS: readonly string[] = [
  '', ' ', '\n', '0', '-0', '-1', '-2', '1', '5', '2.5', '1e3', '1e999', '0x10', '+7', ' 5 ', 'nan', 'inf',
  '9'.repeat(15), '9'.repeat(19), '9'.repeat(400), '-9223372036854775808', 'soon', 'true', 'null', '"x"',
  '[]', '{}', '[null]', '[1e999]', '[NaN]', '[-1,"x",{}]', '{"a":1e999}', '{"1":5}', '[[],[[]]]', '[', '{"a":',
  '['.repeat(600) + ']'.repeat(600), '['.repeat(5000) + ']'.repeat(5000), '{"a":'.repeat(900), 'x'.repeat(100_000),
  '2026-01-01T00:00:00Z', '2026-99-99T99:99:99.999999Z', '1767225600', '\u0000', '\ud800', '%s%d\r\n$5\r\n',
  GOOD, '["fail",null,["no"],{}]', '["nobody",null,[],{}]', '["echo","x",[],{}]', '["echo",null,{},[]]',
];

// prettier-ignore
const IDS: readonly string[] = [
  '', ' ', '*', '.', 'a.b', 'a:b', ':', '::x:dependencies', 'a b', '../x', '{x}', '\n', '%s', '-1', 'n0:n0',
  'x'.repeat(129), 'x'.repeat(20_000), 'null', '\u0000', 'ü', '__proto__', 'constructor',
];

// prettier-ignore
const FIELDS: readonly string[] = [
  'data', 'status', 'timeout', 'ttl', 'result_ttl', 'failure_ttl', 'retries_left', 'retry_intervals',
  'errors', 'meta', 'origin', 'created_at', 'enqueued_at', 'dependency_ids', 'execution_id', 'worker_name',
  'recoveries', 'group_id', 'ended_at', 'exc_info', 'enqueue_at_front', 'description', 'result', '',
];

function bytes(c: FaultCase): Buffer {
  return Buffer.from(Array.from({ length: c.between(1, 40) }, () => c.between(0, 255)));
}

/** Any bytes for any field. */
export function garbage(c: FaultCase): string | Buffer {
  const zipped = deflateSync(c.pick([GOOD, '["fail",null,["no"],{}]', 'x']));
  return c.pick([
    () => c.pick(TEXTS),
    () => c.pick(TEXTS),
    () => c.pick(STATUSES),
    () => bytes(c),
    () => zipped,
    () => zipped.subarray(0, c.between(1, zipped.length)),
    () => Buffer.concat([Buffer.from([0x78, 0x9c]), bytes(c)]),
  ])();
}

/** As `garbage`, but no great number of retries: that is an order, and a job that fails each time carries it out for years. */
function garbageFor(c: FaultCase, field: string): string | Buffer {
  const value = garbage(c);
  const number = field === 'retries_left' ? Number(String(value)) : 0;
  return number > 100 && Number.isFinite(number) ? '100' : value;
}

/** Puts a job on a list of which some fields are garbage, or its id, or the type of its key; gives its id, another one each time. */
export async function putBadJob(c: FaultCase, queue: string, used: Set<string>): Promise<Buffer> {
  const { client } = c.redis;
  // what is no UTF-8 is given up after some lost runs, which takes its time
  const odd = c.pick<string | Buffer>(ALL ? [...IDS, bytes(c)] : IDS);
  const id = Buffer.from(c.random() < 0.2 && !used.has(String(odd)) ? odd : `bad-${used.size}`);
  used.add(id.toString());
  const key = Buffer.concat([Buffer.from('rq:job:'), id]);
  const multi = client.multi().del(key);
  if (c.random() < 0.15) multi.eval(MAKE[c.pick(TYPES)], 1, key);
  else {
    const data = c.pick([GOOD, '["fail",null,["no"],{}]', deflateSync(GOOD)]);
    multi.hset(key, {
      status: 'queued',
      origin: queue,
      data,
      timeout: '60',
      description: 'bad',
      retries_left: '1',
    });
    for (let n = c.between(1, 4); n > 0; n--) {
      const field = c.pick(FIELDS);
      if (c.random() < 0.15) multi.hdel(key, field);
      else multi.hset(key, field, garbageFor(c, field));
    }
  }
  multi[c.pick(['rpush', 'lpush'] as const)](`rq:queue:${queue}`, id);
  await multi.exec();
  return id;
}
