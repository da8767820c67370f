/** Writes a queue's cron, and when it comes next unless that is known already. */
import { Script } from '../script.ts';

/**
 * `next` is unix seconds. A cron of this name with the same pattern and time zone keeps its next tick. Reply: `[next, last]`,
 * `last` being nil where it never came. Runs also when Redis is full: a worker that is to work off what fills it sets its
 * crons first.
 */
export const setCron: Script<
  never,
  'crons' | 'cronTicks' | 'cronLast',
  'name' | 'definition' | 'pattern' | 'timezone' | 'next'
> = new Script({
  name: 'set_cron',
  queueKeys: ['crons', 'cronTicks', 'cronLast'],
  args: ['name', 'definition', 'pattern', 'timezone', 'next'],
  allowOom: true,
  body: `
local q = queue(1)
local held = redis.call('HGET', q.crons, name)
local tick = redis.call('ZSCORE', q.cronTicks, name)
local last = redis.call('HGET', q.cronLast, name)
local known, old = pcall(cjson.decode, held or 'null')
local same = known and type(old) == 'table' and old.pattern == pattern and old.timezone == timezone
redis.call('HSET', q.crons, name, definition)
if not same or not tick then
  redis.call('ZADD', q.cronTicks, next, name)
  tick = next
end
return { tick, last }`,
});
