import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { Link } from '../../lib/connection.ts';
import { Queue, RedisRefusedError, RqError } from '../../lib/index.ts';
import { Keys } from '../../lib/keys.ts';
import { WorkerStore } from '../../lib/worker-store.ts';
import { producerSteps, workerSteps } from '../support/acl-steps.ts';
import { ACL_ARGS, RULES, commandsOf, refusals, urlOf, type AclUser } from '../support/acl.ts';
import { ALL } from '../support/fault-case.ts';
import { useRedis } from '../support/in-process.ts';
import { startWorker } from '../support/worker-process.ts';

const redis = useRedis({ args: ACL_ARGS });

/** The URL of a user whose rule lacks a command. */
async function without(user: AclUser, command: string): Promise<string> {
  const less = `${user}-less`;
  await redis.client.call('ACL', 'SETUSER', less, ...RULES[user], `-${command}`);
  return urlOf(user, redis.url).replace(user, less);
}

/** Commands that the scripts call which a module of lib/ imports. */
async function commandsOfScripts(module: string): Promise<string[]> {
  const source = readFileSync(new URL(`../../lib/${module}`, import.meta.url), 'utf8');
  const found = new Set<string>();
  for (const [, file = ''] of source.matchAll(/from '\.\/lua\/(.+)\.ts'/g)) {
    const exported = (await import(`../../lib/lua/${file}.ts`)) as Record<string, unknown>;
    for (const script of Object.values(exported)) {
      if (typeof script !== 'object' || script === null || !('source' in script)) continue;
      for (const [, call = ''] of String(script.source).matchAll(
        /redis\.p?call\(([^,)]+(?:, 'NUM[A-Z]+')?)/g,
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
    expect(commandsOf(user)).toEqual(expect.arrayContaining(await commandsOfScripts(module)));
  });

  // sent every 15 s, to see whether a link is alive
  const commands = commandsOf(user).filter(command => command !== 'ping');
  it.each(commands)('needs %s', { timeout: 30_000 }, async command => {
    await redis.client.call('ACL', 'LOG', 'RESET');
    const noticed = async (): Promise<boolean> =>
      (await refusals(redis.client)).includes(`${user}-less: ${command}`);
    const url = await without(user, command);
    const walk = { url, look: redis.client, patience: ALL ? 1_000 : 300 };
    const errors = await steps(ALL ? walk : { ...walk, enough: noticed });
    expect(await noticed(), 'refused').toBe(true);
    // without INFO a connection counts as ready while Redis still loads
    if (user === 'rq-worker' || command !== 'info') expect(errors, 'steps that failed').not.toEqual([]);
    if (user === 'rq-worker') return;
    for (const error of errors) if (error instanceof RqError) expect(error).toBeInstanceOf(RedisRefusedError);
  });
});
