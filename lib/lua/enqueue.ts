/** Adds jobs to one queue, each once however often the call is repeated. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/**
 * `listed` is the queue's own list, which a job may be kept out of.
 *
 * Rest: jobs in groups that are alike. A group is the number of its jobs, 1 to go to the front, ttl (0 for none), 1 where the
 * ids are the caller's, number of setting arguments, then name and value of each setting; then, for each job, id, data,
 * description, and where the id is the caller's an enqueue id.
 *
 * Reply, for each job: 1 for queued, 0 where an earlier sending of this call did it, or a text: `duplicate:<status>`,
 * `elsewhere:<queue>` (a job of this id has ended on another queue), or `error:<text>`.
 */
export const enqueue: Script<
  'all',
  'list' | 'finished' | 'failed' | 'canceled',
  'job_prefix' | 'results_prefix' | 'queue_name' | 'listed'
> = new Script({
  name: 'enqueue',
  keys: ['all'],
  queueKeys: ['list', 'finished', 'failed', 'canceled'],
  args: ['job_prefix', 'results_prefix', 'queue_name', 'listed'],
  parts: [clock],
  body: `
local q = queue(1)
local ended = { finished = true, failed = true, stopped = true, canceled = true }
-- before the first write, as a script that fails half-way has done its first half. A list with jobs is listed already
if redis.call('LLEN', q.list) == 0 then redis.call('SADD', all, listed) end
local replies, back, front = {}, {}, {}

-- where a generated id exists, this very call was sent before: one look at all of them, as hardly any was
local generated = {}
local at, last = rest, #ARGV
while at < last do
  local count, keyed, settings = tonumber(ARGV[at]), ARGV[at + 3] == '1', tonumber(ARGV[at + 4])
  at = at + 5 + settings
  for i = 1, count do
    if not keyed then generated[#generated + 1] = job_prefix .. ARGV[at] end
    at = at + (keyed and 4 or 3)
  end
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
while at < last do
  local count, to_front, ttl, keyed = tonumber(ARGV[at]), ARGV[at + 1] == '1', ARGV[at + 2], ARGV[at + 3] == '1'
  local settings = at + 5
  at = settings + tonumber(ARGV[at + 4])
  local last_setting = at - 1
  for i = 1, count do
    local id = ARGV[at]
    local key = job_prefix .. id
    local refusal
    if keyed then
      local enqueue_id = ARGV[at + 3]
      refusal = admit(id, key, enqueue_id)
      if not refusal then redis.call('HSET', key, 'enqueue_id', enqueue_id) end
    elseif resent then
      local status = redis.pcall('HGET', key, 'status')
      if type(status) == 'table' then refusal = 'error:' .. status.err
      elseif status then refusal = 0 end
    end
    if not refusal then
      redis.call('HSET', key, 'status', 'queued', 'origin', queue_name, 'created_at', timestamp(), 'enqueued_at', timestamp(),
        'data', ARGV[at + 1], 'description', ARGV[at + 2], unpack(ARGV, settings, last_setting))
      if ttl ~= '0' then redis.call('EXPIRE', key, ttl) end
      if to_front then front[#front + 1] = id else back[#back + 1] = id end
    end
    replies[#replies + 1] = refusal or 1
    at = at + (keyed and 4 or 3)
  end
end
if #back > 0 then redis.call('RPUSH', q.list, unpack(back)) end
if #front > 0 then redis.call('LPUSH', q.list, unpack(front)) end
return replies`,
});
