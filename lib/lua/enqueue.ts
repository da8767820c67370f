/** Adds jobs to one queue, each once however often the call is repeated. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

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
  parts: [clock],
  body: `
local q = queue(1)
local ended = { finished = true, failed = true, stopped = true, canceled = true }
-- before the first write, as a script that fails half-way has done its first half. A list with jobs is listed already
if redis.call('LLEN', q.list) == 0 then redis.call('SADD', all, listed) end
local replies, back, front = {}, {}, {}

-- where a generated id exists, this very call was sent before: one look at all of them, as hardly any was
local generated = {}
local at = rest
for i = 1, tonumber(count) do
  if ARGV[at + 1] == '' then generated[#generated + 1] = job_prefix .. ARGV[at] end
  at = at + 5 + tonumber(ARGV[at + 4])
end
local resent = #generated > 0 and redis.call('EXISTS', unpack(generated)) > 0

-- whether a job may take this id; clears away one that has ended
local function admit(id, key, enqueue_id)
  local held = redis.pcall('HMGET', key, 'status', 'enqueue_id', 'origin')
  if held.err then return 'error:' .. held.err end
  if not held[1] and redis.call('EXISTS', key) == 0 then return nil end
  if held[2] and held[2] == enqueue_id then return 0 end
  if not ended[held[1]] then return 'duplicate:' .. (held[1] or 'of no known status') end
  if held[3] and held[3] ~= queue_name then return 'elsewhere:' .. held[3] end
  for _, registry in ipairs({ q.finished, q.failed, q.canceled }) do
    local size = redis.pcall('ZCARD', registry)
    if type(size) == 'table' then return 'error:' .. size.err end
  end
  for _, registry in ipairs({ q.finished, q.failed, q.canceled }) do redis.call('ZREM', registry, id) end
  redis.call('DEL', key, results_prefix .. id)
  return nil
end

at = rest
for i = 1, tonumber(count) do
  local id, enqueue_id, to_front, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local fields = tonumber(ARGV[at + 4])
  local key = job_prefix .. id
  local refusal
  if enqueue_id ~= '' then
    refusal = admit(id, key, enqueue_id)
    if not refusal then redis.call('HSET', key, 'enqueue_id', enqueue_id) end
  elseif resent then
    local status = redis.pcall('HGET', key, 'status')
    if type(status) == 'table' then refusal = 'error:' .. status.err
    elseif status then refusal = 0 end
  end
  if not refusal then
    redis.call('HSET', key, 'status', 'queued', 'origin', queue_name, 'created_at', timestamp(), 'enqueued_at', timestamp(),
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
