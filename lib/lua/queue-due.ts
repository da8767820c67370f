/** Queues the scheduled jobs whose time has come, unless a Python scheduler does. */
import { Script } from '../script.ts';
import { announce, clock, queueAgain } from './parts.ts';

/** At most `most` jobs a queue. Reply: `[how many were queued, 1 when there are more]`. */
export const queueDue: Script<
  'all',
  'list' | 'scheduled' | 'schedulerLock',
  'job_prefix' | 'status_prefix' | 'queue_names' | 'most' | 'errors_kept' | 'error_bytes'
> = new Script({
  name: 'queue_due',
  keys: ['all'],
  queueKeys: ['list', 'scheduled', 'schedulerLock'],
  args: ['job_prefix', 'status_prefix', 'queue_names', 'most', 'errors_kept', 'error_bytes'],
  parts: [clock, announce, queueAgain],
  allowOom: true,
  body: `
local names = {}
for name in string.gmatch(queue_names, '[^,]+') do names[#names + 1] = name end
local queued, more = 0, 0
for i = 1, queues do
  local q = queue(i)
  if redis.call('EXISTS', q.schedulerLock) == 0 and type(redis.pcall('LLEN', q.list)) ~= 'table' then
    local due = redis.pcall('ZRANGEBYSCORE', q.scheduled, '-inf', string.format('%.6f', now), 'LIMIT', 0, most)
    if not due.err and #due > 0 then
      redis.call('ZREM', q.scheduled, unpack(due))
      redis.call('SADD', all, q.list)
      for _, id in ipairs(due) do
        local key = job_prefix .. id
        local held = redis.pcall('HMGET', key, 'status', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at')
        -- what is canceled, deleted or queued already was only left behind here
        if not held.err and held[1] == 'scheduled' then
          local ran = held[4] and held[4] ~= ''
          queue_again(key, id, q.list, held[2] == '1' or held[3] == '1' and ran)
          announce(names[i], id, 'queued')
          queued = queued + 1
        end
      end
      if #due == tonumber(most) then more = 1 end
    end
  end
end
publish_all()
return { queued, more }`,
});
