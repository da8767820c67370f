/** Adds jobs to one queue, each once however often the call is repeated. */
import { Script } from '../script.ts';
import { clock, sound } from './parts.ts';

/**
 * `listed` is the queue's own list, which a job may be kept out of.
 *
 * Rest, for each job: id, enqueue id ('' where the id was generated), 1 to go to the front, ttl (0 for none), number of
 * field arguments, then name and value of each field.
 *
 * Reply, for each job: 1 for queued, 0 where an earlier sending of this call did it, or a text: `duplicate:<status>`,
 * `elsewhere:<queue>` (a job of this id has ended on another queue), or `error:<text>`.
 */
export const enqueue: Script<
  'all',
  'list' | 'finished' | 'failed' | 'canceled',
  'job_prefix' | 'results_prefix' | 'queue_name' | 'listed' | 'count'
> = new Script({
  name: 'enqueue',
  keys: ['all'],
  queueKeys: ['list', 'finished', 'failed', 'canceled'],
  args: ['job_prefix', 'results_prefix', 'queue_name', 'listed', 'count'],
  parts: [clock, sound],
  body: `
local q = queue(1)
local ended = { finished = true, failed = true, stopped = true, canceled = true }
sound(q, { 'finished', 'failed', 'canceled' })
redis.call('SADD', all, listed)
local replies, back, front = {}, {}, {}
local at = rest

-- whether a job may take this id; clears away one that has ended
local function admit(id, key, enqueue_id)
  local held = redis.pcall('HMGET', key, 'status', 'enqueue_id', 'origin')
  if held.err then return 'error:' .. held.err end
  if not held[1] and redis.call('EXISTS', key) == 0 then return nil end
  if held[2] and held[2] == enqueue_id then return 0 end
  if not ended[held[1]] then return 'duplicate:' .. (held[1] or 'of no known status') end
  if held[3] and held[3] ~= queue_name then return 'elsewhere:' .. held[3] end
  for _, registry in ipairs({ q.finished, q.failed, q.canceled }) do redis.call('ZREM', registry, id) end
  redis.call('DEL', key, results_prefix .. id)
  return nil
end

for i = 1, tonumber(count) do
  local id, enqueue_id, to_front, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local fields = tonumber(ARGV[at + 4])
  local key = job_prefix .. id
  local refusal
  if enqueue_id == '' then
    -- a generated id that exists is this very call, sent again
    local made = redis.pcall('HSETNX', key, 'status', 'queued')
    if type(made) == 'table' then refusal = 'error:' .. made.err
    elseif made == 0 then refusal = 0 end
  else
    refusal = admit(id, key, enqueue_id)
    if not refusal then redis.call('HSET', key, 'status', 'queued', 'enqueue_id', enqueue_id) end
  end
  if not refusal then
    redis.call('HSET', key, 'origin', queue_name, 'created_at', timestamp(), 'enqueued_at', timestamp(),
      unpack(ARGV, at + 5, at + 4 + fields))
    if ttl > 0 then redis.call('EXPIRE', key, ttl) end
    if to_front == '1' then front[#front + 1] = id else back[#back + 1] = id end
  end
  replies[i] = refusal or 1
  at = at + 5 + fields
end
if #back > 0 then redis.call('RPUSH', q.list, unpack(back)) end
if #front > 0 then redis.call('LPUSH', q.list, unpack(front)) end
return replies`,
});
