/** Reads all crons of a queue. */
import { Script } from '../script.ts';

/** Reply: `[name, definition, next, last]` of each, `next` and `last` unix seconds or nil. */
export const listCrons: Script<never, 'crons' | 'cronTicks' | 'cronLast'> = new Script({
  name: 'list_crons',
  queueKeys: ['crons', 'cronTicks', 'cronLast'],
  readsOnly: true,
  body: `
local q = queue(1)
local held = redis.call('HGETALL', q.crons)
local all = {}
for n = 1, #held, 2 do
  all[#all + 1] = { held[n], held[n + 1], redis.call('ZSCORE', q.cronTicks, held[n]), redis.call('HGET', q.cronLast, held[n]) }
end
return all`,
});
