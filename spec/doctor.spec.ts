import { describe, expect, it } from 'vitest';
import { Rq, type DoctorOptions, type Finding, type Severity } from '../lib/index.ts';
import { expectedType, KEY_TYPES } from '../lib/key-types.ts';
import { Keys } from '../lib/keys.ts';
import { RIGHTS } from '../lib/rights.ts';
import { RULES, commandsOf, urlOf, ACL_ARGS } from './support/acl.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';
import { writeJobs } from './support/jobs.ts';
import { startRedis } from './support/redis.ts';

const redis = useRedis({ args: ['--appendonly', 'yes', ...ACL_ARGS] });
const q = useQueue(redis);

async function doctor(options?: DoctorOptions, url: string = redis.url): Promise<Finding[]> {
  await using rq = new Rq({ connection: url });
  return await rq.doctor(options);
}

/** What is not fine, as `severity about: what`; without the latency, which says how busy this machine is. */
async function wrong(options?: DoctorOptions, url?: string): Promise<string[]> {
  const findings = await doctor(options, url);
  return findings
    .filter(({ severity, about }) => severity !== 'ok' && about !== 'latency')
    .map(({ severity, about, what }) => `${severity} ${about}: ${what}`);
}

function matching(found: readonly string[], severity: Severity, text: RegExp): string[] {
  return found.filter(each => each.startsWith(severity) && text.test(each));
}

describe('Rq.doctor', () => {
  it('finds nothing wrong with a Redis that is set as it should be, where jobs ran', async () => {
    await q.enqueueMany([['nothing'], ['nothing', [], { dependsOn: [await q.enqueue('nothing')] }]]);
    await q.enqueueIn('1h', 'nothing');
    await workOff(redis);
    expect(await wrong()).toEqual([]);
    const abouts = (await doctor()).map(({ about }) => about);
    expect(abouts).toEqual([
      'version',
      'cluster',
      'memory',
      'persistence',
      'rights',
      'clock',
      'latency',
      'keys',
    ]);
  });

  it('says what to do about whatever is wrong', async () => {
    await redis.client.set('rq:foreign', 'x');
    for (const { severity, fix } of await doctor()) expect(fix === '').toBe(severity === 'ok');
  });

  it.each<
    [
      what: string,
      args: readonly string[],
      promise: DoctorOptions['promise'],
      severity: Severity,
      said: RegExp,
    ]
  >([
    ['nothing', [], undefined, 'warning', /loses all jobs/],
    ['snapshots', ['--save', '60 1'], undefined, 'warning', /since its last snapshot/],
    ['snapshots', ['--save', '60 1'], 'always', 'error', /since its last snapshot/],
    ['each second', ['--appendonly', 'yes'], 'always', 'error', /loses the last second/],
    ['no fsync', ['--appendonly', 'yes', '--appendfsync', 'no'], 'everysec', 'error', /appendfsync is no/],
  ])('holds a Redis that keeps %s (%j) to the promise %s', async (_, args, promise, severity, said) => {
    const server = await startRedis({ args });
    try {
      const options = promise === undefined ? {} : { promise };
      expect(matching(await wrong(options, server.url), severity, said)).toHaveLength(1);
      expect(
        (await wrong({ promise: 'none' }, server.url)).filter(each => each.includes('persistence')),
      ).toEqual([]);
    } finally {
      await server.stop();
    }
  });

  it('warns of a Redis that evicts, is nearly full, is a replica, or is a cluster', async () => {
    const evicts = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru', '--maxmemory', '1mb'] });
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(redis.port)] });
    const cluster = await startRedis({ args: ['--cluster-enabled', 'yes'] });
    try {
      expect(matching(await wrong({}, evicts.url), 'error', /maxmemory-policy is allkeys-lru/)).toHaveLength(
        1,
      );
      expect(matching(await wrong({}, evicts.url), 'warning', /% of maxmemory/)).toHaveLength(1);
      expect(matching(await wrong({}, replica.url), 'error', /replica, which takes no writes/)).toHaveLength(
        1,
      );
      expect(matching(await wrong({}, cluster.url), 'error', /Redis Cluster/)).toHaveLength(1);
    } finally {
      await Promise.all([evicts.stop(), replica.stop(), cluster.stop()]);
    }
  });

  it('tells what a user may be', async () => {
    const said = async (user: string, options: DoctorOptions = {}): Promise<string[]> =>
      (await doctor(options, urlOf(user as 'rq-worker', redis.url)))
        .filter(({ about }) => about === 'rights')
        .map(({ severity, what }) => `${severity} ${what}`);
    expect(await said('rq-producer')).toEqual([
      'ok this user may be a producer',
      expect.stringMatching(/^note this user can't be a worker: \d+ of \d+ commands are refused$/),
    ]);
    expect(await said('rq-worker', { role: 'worker' })).toEqual(['ok this user may be a worker']);
    expect(await said('rq-operator', { role: 'operator' })).toEqual(['ok this user may be an operator']);
    expect(await said('rq-producer', { role: 'operator' })).toEqual([
      expect.stringMatching(/^error this user can't be an operator/),
    ]);
  });

  it('names the commands and keys that a user lacks', async () => {
    const rule = RULES['rq-producer'].map(part => (part === '~rq:*' ? '~rq:queue*' : part));
    await redis.client.call('ACL', 'SETUSER', 'less', ...RULES['rq-producer'], '-lrange', '-pubsub|numsub');
    await redis.client.call('ACL', 'SETUSER', 'elsewhere', ...rule);
    const as = (user: string): string => urlOf('rq-producer', redis.url).replace('rq-producer:', `${user}:`);
    const less = (await doctor({ role: 'producer' }, as('less'))).find(({ about }) => about === 'rights');
    expect(less).toMatchObject({
      severity: 'error',
      fix: 'ACL SETUSER … ~rq:* &rq:* +lrange +pubsub|numsub',
    });
    expect(
      matching(await wrong({ role: 'producer' }, as('elsewhere')), 'error', /can't be a producer/),
    ).toHaveLength(1);
  });

  it('goes on where it may not look, and says so', async () => {
    const found = await wrong({}, urlOf('rq-producer', redis.url));
    expect(matching(found, 'warning', /keys: not looked at: .*'scan'/)).toHaveLength(1);
    await redis.client.call('ACL', 'SETUSER', 'weak', 'reset', 'on', '>weak', '+info');
    const weak = await wrong({}, redis.url.replace('//', '//weak:weak@'));
    expect(matching(weak, 'error', /can't be a worker/)).toHaveLength(1);
    expect(matching(weak, 'warning', /clock: not looked at/)).toHaveLength(1);
    await redis.client.call('ACL', 'SETUSER', 'dumb', 'reset', 'on', '>dumb', '~*', '&*', '+@all', '-info');
    const dumb = await wrong({}, redis.url.replace('//', '//dumb:dumb@'));
    expect(matching(dumb, 'error', /settings: INFO is refused/)).toHaveLength(1);
    expect(matching(dumb, 'error', /can't be a worker: 1 of/)).toHaveLength(1);
  });

  it('refuses what it does not know', async () => {
    await expect(doctor({ promise: 'alway' as 'always' })).rejects.toThrow(/"always"/);
    await expect(doctor({ role: 'king' as 'worker' })).rejects.toThrow(/producer, worker, operator/);
    await expect(doctor({ maxKeys: 0 })).rejects.toThrow(/maxKeys/);
  });
});

describe('Rq.doctor among the keys', () => {
  const put = async (fields: Record<string, string>, id = 'bad'): Promise<void> =>
    writeJobs(redis.client, [id], { fields });
  const pickle = Buffer.from('\x80\x04]q\x00.', 'latin1');

  it.each<[what: string, severity: Severity, said: RegExp, make: () => Promise<unknown>]>([
    [
      'a foreign key',
      'warning',
      /keys: 1 key of an unknown name: "rq:mine"/,
      () => redis.client.set('rq:mine', 1),
    ],
    [
      'keys of a wrong type',
      'error',
      /2 keys of a wrong type: "rq:queue:.*" is a string, and rq:queue:<queue> a list/,
      () => redis.client.mset('rq:queue:a', 1, 'rq:queue:b', 1),
    ],
    [
      'a pickled job',
      'error',
      /jobs: 1 job with pickled data, which no Node worker can read: bad$/,
      async () => {
        await put({});
        await redis.client.hset('rq:job:bad', 'data', pickle);
      },
    ],
    [
      'a job that is no JSON',
      'error',
      /1 job that can't be run \(its data is not JSON.*: bad$/,
      () => put({ data: '{' }),
    ],
    ['an unknown status', 'error', /1 job with the status "odd"/, () => put({ status: 'odd' })],
    [
      'a timeout that is no number',
      'error',
      /1 job whose timeout is no whole number: bad$/,
      () => put({ timeout: '5m' }),
    ],
    [
      'a time that is a number',
      'error',
      /1 job whose enqueued_at is no timestamp: bad$/,
      () => put({ enqueued_at: '1.5' }),
    ],
    [
      'a rest of a job',
      'warning',
      /1 job without a status.*: rest$/,
      () => redis.client.hset('rq:job:rest', 'meta', '{}'),
    ],
    ['an id with a dot', 'error', /1 job with an id that RQ can't read: "rq:job:a\.b"/, () => put({}, 'a.b')],
    [
      'an id with a dot on a list',
      'error',
      /queues: 1 id in rq:queue:default that RQ can't read: "a\.b"/,
      () =>
        redis.client.multi().sadd('rq:queues', 'rq:queue:default').rpush('rq:queue:default', 'a.b').exec(),
    ],
    [
      'a member of rq:queues that is no queue',
      'error',
      /1 member of rq:queues/,
      () => redis.client.sadd('rq:queues', 'default'),
    ],
    [
      'a queue that Node can’t use',
      'warning',
      /1 queue with a name.*"my queue"/,
      () => redis.client.sadd('rq:queues', 'rq:queue:my queue'),
    ],
    [
      'ids stuck in Python’s hands',
      'warning',
      /2 ids stuck in rq:queue:default:intermediate: "a"/,
      () =>
        redis.client
          .multi()
          .sadd('rq:queues', 'rq:queue:default')
          .rpush('rq:queue:default:intermediate', 'a', 'b')
          .exec(),
    ],
    [
      'claims of a worker that is gone',
      'warning',
      /1 id in the claims of worker "dead", which is gone/,
      () => redis.client.rpush('rq:worker:dead:claims:default', 'a'),
    ],
    ['a suspension', 'note', /all workers are suspended/, () => redis.client.set('rq:suspended', 1)],
  ])('finds %s', async (_, severity, said, make) => {
    await make();
    expect(matching(await wrong(), severity, said)).toHaveLength(1);
  });

  it('finds nothing in claims of a worker that lives', async () => {
    await redis.client.hset('rq:worker:alive', 'birth', 'x');
    await redis.client.rpush('rq:worker:alive:claims:default', 'a');
    expect(await wrong()).toEqual([]);
  });

  it('looks at no more keys than it is told', async () => {
    for (let i = 0; i < 3; i++)
      await redis.client.mset(...Array.from({ length: 1000 }, (_, n) => [`rq:x${i}-${n}`, 1]).flat());
    const found = await wrong({ maxKeys: 1000 });
    expect(matching(found, 'note', /the first 1,\d\d\d keys looked at/)).toHaveLength(1);
  });

  it('shows names as they can be printed', async () => {
    await redis.client.set('rq:\x1b[2J', 1);
    expect(matching(await wrong(), 'warning', /"rq:\\u001b\[2J"/)).toHaveLength(1);
  });
});

describe('the keys that a doctor knows', () => {
  it('are all that lib/keys.ts builds', () => {
    const keys = new Keys();
    const { name: _, ...unit } = keys.queue('q');
    const single = Object.entries(keys)
      .filter(([name]) => !/prefix$/i.test(name))
      .map(([, key]) => String(key));
    const prefixes = Object.entries(keys)
      .filter(([name]) => /.prefix$/i.test(name) && !['statusPrefix', 'commandPrefix'].includes(name))
      .map(([, key]) => `${String(key)}x`);
    const others = [keys.dependents('a'), keys.dependencies('a'), keys.claims('w', 'q'), keys.results('a')];
    const all = [...single, ...Object.values(unit), ...prefixes, ...others];
    expect(all.filter(key => expectedType(key.slice(keys.prefix.length)) === undefined)).toEqual([]);
  });

  it('are looked for from the particular to the general', () => {
    for (const [name, type] of KEY_TYPES) {
      const key = name.replaceAll(/<[^>]+>/g, 'x');
      expect([name, expectedType(key)?.type]).toEqual([name, type]);
    }
  });
});

describe('the rights that a doctor asks for', () => {
  it.each(['producer', 'worker', 'operator'] as const)('are those of the README’s %s', role => {
    expect(commandsOf(`rq-${role}`).toSorted()).toEqual(RIGHTS[role].toSorted());
  });
});
