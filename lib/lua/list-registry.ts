/** Reads one registry, without what has expired by Redis' clock. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/** `expires` is 1 where a score is the time at which the member expires. Reply: `[count, members]` of ranks first to last. */
export const listRegistry: Script<'registry', never, 'expires' | 'first' | 'last'> = new Script({
  name: 'list_registry',
  keys: ['registry'],
  allowOom: true,
  args: ['expires', 'first', 'last'],
  parts: [clock],
  body: `
if expires == '1' then redis.call('ZREMRANGEBYSCORE', registry, 0, '(' .. string.format('%.6f', now)) end
return { redis.call('ZCARD', registry), redis.call('ZRANGE', registry, first, last) }`,
});
