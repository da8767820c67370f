/** The Redis users of the README: their rules as they stand there, for test servers and for URLs. */
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

export type AclUser = 'rq-producer' | 'rq-worker' | 'rq-operator';

export const README: string = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** What follows the user's name in `ACL SETUSER`. */
export const RULES: Readonly<Record<AclUser, readonly string[]>> = {
  'rq-producer': ruleOf('rq-producer'),
  'rq-worker': ruleOf('rq-worker'),
  'rq-operator': ruleOf('rq-operator'),
};

/** Arguments of `redis-server` that give it the users, at every start anew. */
export const ACL_ARGS: readonly string[] = Object.entries(RULES).flatMap(([user, rule]) =>
  ['--user', user].concat(rule),
);

/** The URL with the user's name and password, unless it has others. */
export function urlOf(user: AclUser, url: string): string {
  const as = new URL(url);
  if (as.username !== '' || as.password !== '') return url;
  as.username = user;
  as.password = RULES[user].find(rule => rule.startsWith('>'))?.slice(1) ?? '';
  return as.href;
}

/** The commands of a rule, as Redis names them: `client|id`, `evalsha`. */
export function commandsOf(user: AclUser): string[] {
  return RULES[user].filter(rule => rule.startsWith('+')).map(rule => rule.slice(1));
}

/** What Redis refused these users since its start, as `rq-worker: blmove`. */
export async function refusals(redis: Redis): Promise<string[]> {
  const log = (await redis.call('ACL', 'LOG')) as unknown[][];
  return log.flatMap(entry => {
    const about = new Map(entry.map((name, i) => [String(name), entry[i + 1]]));
    const user = String(about.get('username'));
    return Object.keys(RULES).some(name => user.startsWith(name))
      ? [`${user}: ${String(about.get('object'))}`]
      : [];
  });
}

function ruleOf(user: AclUser): string[] {
  const [, rule] = new RegExp(`^ACL SETUSER ${user} (.+)$`, 'm').exec(README) ?? [];
  if (rule === undefined) throw new Error(`README.md has no line ACL SETUSER ${user}`);
  return rule.split(' ');
}
