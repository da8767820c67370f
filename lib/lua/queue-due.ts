/** Queues the scheduled jobs whose time has come, unless a Python scheduler does, and dependents that were too many at once; says which crons are due. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { fill, release, releaseSome } from './dependents.ts';
import { announce, clock, queueAgain, queueNames, seconds } from './parts.ts';

/**
 * At most `most` jobs a queue; an id without a scheduled job is dropped once it is `patience` seconds overdue. Reply:
 * `[1 when there are more, unix seconds, crons]`, each cron being `[queue, name, tick, definition]`, those of the latest ticks
 * first: what nobody can read stays due, and must not stand before the others.
 */
export const queueDue: Script<
  'all' | 'releasing',
  'list' | 'scheduled' | 'schedulerLock' | 'crons' | 'cronTicks',
  'queue_names' | 'most' | 'patience' | 'cron_most',
  Constant
> = new Script({
  name: 'queue_due',
  keys: ['all', 'releasing'],
  queueKeys: ['list', 'scheduled', 'schedulerLock', 'crons', 'cronTicks'],
  constants: [
    'job_prefix',
    'results_prefix',
    'list_prefix',
    'deferred_prefix',
    'status_prefix',
    'errors_kept',
    'error_bytes',
    'release_most',
  ],
  args: ['queue_names', 'most', 'patience', 'cron_most'],
  parts: [queueNames, clock, announce, seconds, queueAgain],
  allowOom: true,
  body: `
local more, crons = 0, {}
for i = 1, queues do
  local q = queue(i)
  local ticks = redis.pcall('ZRANGE', q.cronTicks, string.format('%.6f', now), '-inf', 'BYSCORE', 'REV',
    'LIMIT', 0, cron_most, 'WITHSCORES')
  for n = 1, ticks.err and 0 or #ticks, 2 do
    local definition = redis.pcall('HGET', q.crons, ticks[n])
    crons[#crons + 1] = { i, ticks[n], ticks[n + 1], type(definition) == 'string' and definition or '' }
  end
  if redis.call('EXISTS', q.schedulerLock) == 0 and type(redis.pcall('LLEN', q.list)) ~= 'table' then
    local handled, offset, left = {}, 0, true
    -- ids that are only left behind, or not written yet, stand among the first: so some pages more
    while left and offset < 10 * tonumber(most) and #handled < tonumber(most) do
      local due = redis.pcall('ZRANGEBYSCORE', q.scheduled, '-inf', string.format('%.6f', now), 'WITHSCORES',
        'LIMIT', offset, most)
      for n = 1, due.err and 0 or #due, 2 do
        local id, score = due[n], tonumber(due[n + 1])
        local key = job_prefix .. id
        local held = redis.pcall('HMGET', key, 'status', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at')
        if not held.err and held[1] == 'scheduled' then
          local ran = held[4] and held[4] ~= ''
          handled[#handled + 1] = id
          queue_again(key, id, q.list, held[2] == '1' or held[3] == '1' and ran)
          announce(names[i], id, 'queued')
        elseif score < now - tonumber(patience) then
          -- canceled, deleted or queued already. Not sooner: RQ adds the id before it writes the hash
          handled[#handled + 1] = id
        end
      end
      left = not due.err and #due == most * 2
      offset = offset + most
    end
    if #handled > 0 then
      redis.pcall('SADD', all, q.list)
      redis.call('ZREM', q.scheduled, unpack(handled))
    end
    if #handled >= tonumber(most) then more = 1 end
  end
end
if redis.call('EXISTS', releasing) == 1 then
  ${fill}
  local release_left = tonumber(release_most)
  ${release}
  ${releaseSome}
  if release_some() then more = 1 end
end
publish_all()
return { more, string.format('%.6f', now), crons }`,
});
