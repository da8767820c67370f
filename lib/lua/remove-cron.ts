/** Removes a cron of a queue. */
import { Script } from '../script.ts';

/** Reply: 1 where there was one. The jobs that it has queued stay. */
export const removeCron: Script<never, 'crons' | 'cronTicks' | 'cronLast', 'name'> = new Script({
  name: 'remove_cron',
  queueKeys: ['crons', 'cronTicks', 'cronLast'],
  args: ['name'],
  allowOom: true,
  body: `
local q = queue(1)
-- the ticks first: without one nothing is run
redis.call('ZREM', q.cronTicks, name)
local there = redis.call('HDEL', q.crons, name)
redis.call('HDEL', q.cronLast, name)
return there`,
});
