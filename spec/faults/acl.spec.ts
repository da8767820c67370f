import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Queue, RedisRefusedError, RqError } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { operatorSteps } from '../support/acl-operator.ts';
import { producerSteps } from '../support/acl-producer.ts';
import { workerSteps } from '../support/acl-worker.ts';
import { ACL_ARGS, README, RULES, commandsOf, refusals, urlOf, type AclUser } from '../support/acl.ts';
import { ALL, faultCase } from '../support/fault-case.ts';
import { useRedis } from '../support/in-process.ts';

const redis = useRedis({ args: ACL_ARGS });

/** The URL of a user whose rule lacks a command. */
async function without(user: AclUser, command: string): Promise<string> {
  const less = `${user}-less`;
  await redis.client.call('ACL', 'SETUSER', less, ...RULES[user], `-${command}`);
  return urlOf(user, redis.url).replace(user, less);
}

/** Commands that the scripts call which modules of lib/ import. */
async function commandsOfScripts(...modules: readonly string[]): Promise<string[]> {
  const sources = modules.map(module =>
    readFileSync(new URL(`../../lib/${module}`, import.meta.url), 'utf8'),
  );
  const source = sources.join('\n');
  const found = new Set<string>();
  for (const [, file = ''] of source.matchAll(/from '\.\/lua\/(.+)\.ts'/g)) {
    const exported = (await import(`../../lib/lua/${file}.ts`)) as Record<string, unknown>;
    for (const script of Object.values(exported)) {
      if (typeof script !== 'object' || script === null || !('source' in script)) continue;
      for (const [, call = ''] of String(script.source).matchAll(
        /redis\.p?call\(([^,)]+(?:, '(?:NUM[A-Z]+|CHANNELS)')?)/g,
      ))
        found.add(
          [...call.matchAll(/'([A-Z]+)'/g)]
            .map(([, name = '']) => name.toLowerCase())
            .join(call.includes(' or ') ? ' ' : '|'),
        );
    }
  }
  return [...found].flatMap(names => names.split(' ')).toSorted();
}

describe.each([
  ['rq-producer', producerSteps, 'store.ts'],
  ['rq-worker', workerSteps, 'worker-store.ts'],
] as const)('the README’s user %s', (user, steps, module) => {
  it('may do all that is asked of it', { timeout: 30_000 }, async () => {
    await redis.client.call('ACL', 'LOG', 'RESET');
    const url = urlOf(user, redis.url);
    expect(await steps({ url, look: redis.client, patience: 5_000 })).toEqual([]);
    expect(await refusals(redis.client)).toEqual([]);
  });

  it('has every command that its scripts call', async () => {
    expect(commandsOf(user)).toEqual(
      expect.arrayContaining(await commandsOfScripts(module, 'cron-store.ts')),
    );
  });

  // sent every 15 s, to see whether a link is alive
  const commands = commandsOf(user).filter(command => command !== 'ping');
  it.each(commands)('needs %s', { timeout: 30_000 }, async command => {
    await redis.client.call('ACL', 'LOG', 'RESET');
    const noticed = async (): Promise<boolean> =>
      (await refusals(redis.client)).includes(`${user}-less: ${command}`);
    const url = await without(user, command);
    const walk = { url, look: redis.client, patience: 2_000 };
    const errors = await steps(ALL ? walk : { ...walk, enough: noticed });
    expect(await noticed(), 'refused').toBe(true);
    // without INFO a connection counts as ready while Redis still loads; without COPY jobs are added field by field; without
    // LRANGE the metrics know of less
    const silent = user === 'rq-producer' ? ['info', 'copy'].includes(command) : command === 'lrange';
    expect(errors.length > 0 || silent, 'a step failed').toBe(true);
    const others = errors.filter(error => error instanceof RqError && !(error instanceof RedisRefusedError));
    expect(user === 'rq-worker' ? [] : others, 'what else a producer is told').toEqual([]);
  });
});

describe('the README’s user for producers', () => {
  const as = async (act: (link: Link, store: WorkerStore) => Promise<unknown>): Promise<unknown> => {
    const link = Link.own(urlOf('rq-producer', redis.url));
    try {
      await link.ready();
      return await act(link, new WorkerStore(new Keys(), 'w', ['q']));
    } finally {
      link.close();
    }
  };

  it.each<[string, (link: Link, store: WorkerStore) => Promise<unknown>]>([
    ['wait for a job as a worker does', link => link.redis.blmove('rq:queue:q', 'rq:c', 'LEFT', 'RIGHT', 1)],
    ['end another one’s wait', link => link.redis.client('UNBLOCK', 1, 'ERROR')],
    ['look for a worker’s runs', (link, store) => store.findRuns(link.redis)],
    ['take back dead workers’ jobs', (link, store) => store.sweep(link.redis, 0, false)],
    ['delete a foreign key', link => link.redis.del('foreign')],
    [
      'put a job under another prefix',
      () => new Queue('q', { connection: urlOf('rq-producer', redis.url), prefix: 'foreign' }).enqueue('f'),
    ],
    ['empty Redis', link => link.redis.flushall()],
    ['read settings', link => link.redis.config('GET', '*')],
  ])('may not %s', async (_, act) => {
    await expect(as(act)).rejects.toThrow(/NOPERM|can't (run this command|access)/);
  });

  it('is told what it may not do', async () => {
    await using q = new Queue('q', { connection: await without('rq-producer', 'lrange') });
    const error: unknown = await q.getJobIds().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RedisRefusedError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^Redis refused to list jobs: .*'lrange'/),
    });
  });
});

describe('the README’s user for workers', () => {
  it('may do what producers may with the commands more that the README names', async () => {
    const more = ['+copy', '+linsert', '+sunion', '+unsubscribe'];
    expect(README).toContain(`\`${more.join(' ')}\``);
    await redis.client.call('ACL', 'SETUSER', 'both', ...RULES['rq-worker'], ...more);
    const url = urlOf('rq-worker', redis.url).replace('rq-worker:', 'both:');
    expect(await producerSteps({ url, look: redis.client, patience: 5_000 })).toEqual([]);
  });
});

describe('the README’s user for operators', () => {
  const url = (): string => urlOf('rq-operator', redis.url);

  it('may do all that is asked of it, and what producers may', { timeout: 30_000 }, async () => {
    await redis.client.call('ACL', 'LOG', 'RESET');
    const walk = { url: url(), look: redis.client, patience: 5_000 };
    expect(await operatorSteps(walk)).toEqual([]);
    expect(await producerSteps(walk)).toEqual([]);
    expect(await refusals(redis.client)).toEqual([]);
  });

  it('has every command that its scripts call', async () => {
    expect(commandsOf('rq-operator')).toEqual(
      expect.arrayContaining(await commandsOfScripts('operator-store.ts')),
    );
  });

  const more = commandsOf('rq-operator').filter(command => !commandsOf('rq-producer').includes(command));
  it.each(more)('needs %s', async command => {
    await redis.client.call('ACL', 'LOG', 'RESET');
    const walk = { url: await without('rq-operator', command), look: redis.client, patience: 2_000 };
    expect((await operatorSteps(walk)).length).toBeGreaterThan(0);
    expect(await refusals(redis.client)).toContain(`rq-operator-less: ${command}`);
  });
});

describe('both of the README’s users', () => {
  faultCase(
    'run jobs that finish, fail, are retried, stopped, canceled and change their meta',
    {},
    async c => {
      const worker = c.worker('--concurrency', '4');
      await c.enqueue(20, { ms: 1 });
      const own = (jobId: string) => ({ jobId, failureTtl: 60 });
      const jobs = {
        failed: await c.q.enqueue('fail', ['no'], { ...own('fails'), retry: { max: 1 } }),
        stopped: await c.q.enqueue('waitForAbort', [60_000], own('stops')),
        canceled: await c.q.enqueue('waitForAbort', [60_000], own('cancels')),
        finished: await c.q.enqueue('addMeta', [{ seen: true }], own('meta')),
      };
      for (const { id } of Object.values(jobs)) c.ledger.told(id, 'acknowledged');
      for (const job of [jobs.stopped, jobs.canceled])
        await expect.poll(() => job.getStatus(), { timeout: 20_000 }).toBe('started');
      await jobs.stopped.stop();
      await jobs.canceled.cancel();
      expect(await jobs.finished.wait({ timeout: 20 })).toBeNull();
      await expect(jobs.failed.wait({ timeout: 20 })).rejects.toThrow('no');
      await expect(jobs.stopped.wait({ timeout: 20 })).rejects.toThrow('was stopped');
      expect((await jobs.finished.refresh()).meta).toEqual({ seen: true });
      for (const [status, job] of Object.entries(jobs)) expect(await job.getStatus()).toBe(status);
      // sent every 15 s, to see whether a link is alive
      if (ALL) await sleep(16_000);
      expect((await worker.end('SIGTERM')).code).toBe(0);
      expect(worker.err).not.toMatch(/NOPERM|can't (run this command|access)/);
    },
  );

  faultCase('need ping: an idle worker without it is refused', { onlyWithAll: true }, async c => {
    await c.enqueue(1);
    const less = 'rq-other';
    await c.redis.client.call('ACL', 'SETUSER', less, ...RULES['rq-worker'], '-ping');
    c.workerAt(c.url('rq-worker').replace('rq-worker:', `${less}:`));
    const log = async () => JSON.stringify(await c.redis.client.call('ACL', 'LOG'));
    await expect.poll(log, { timeout: 30_000, interval: 500 }).toMatch(/"ping".*"rq-other"/);
  });
});
