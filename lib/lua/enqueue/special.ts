/** Lua of `enqueue` for jobs that are not plain: with an id of their own, a time, others that they wait for, and so on. */
import { fill } from '../dependents.ts';
import { announce, keep, seconds } from '../parts.ts';
import { uniqueCalls } from './unique.ts';

/** Goes through the groups from the `at`-th argument on; what the plain ones before them left in `back` is queued already. */
export const special: string = `
local listed = list_prefix .. queue_name
local q = { list = list, finished = finished_prefix .. queue_name, failed = failed_prefix .. queue_name,
  canceled = canceled_prefix .. queue_name, deferred = deferred_prefix .. queue_name,
  scheduled = scheduled_prefix .. queue_name }
local ended = { finished = true, failed = true, stopped = true, canceled = true }
local codes = { deferred = 2, scheduled = 3 }
-- what a group begins with, and where the first of its jobs does
local function group_at(at)
  local settings = at + 2
  local how = settings + tonumber(ARGV[at + 1])
  local count, last_setting = tonumber(ARGV[at]), how - 1
  if ARGV[how] == '' then return how + 1, count, settings, last_setting, false, '0', false, '', '', false, '' end
  return how + 8, count, settings, last_setting, ARGV[how + 1] == '1', ARGV[how + 2], ARGV[how + 3] == '1', ARGV[how + 4],
    ARGV[how + 5], ARGV[how + 6] == '1', ARGV[how + 7]
end

-- where a generated id exists, this very call was sent before: one look at all of them, as hardly any was
local generated = {}
local started_at = at
while string.find(mode, 'again', 1, true) and at < last do
  local begin, count, _, _, _, _, keyed, _, _, waits, unique = group_at(at)
  local width = 3 + (keyed and 1 or 0) + (string.find(unique, ':', 1, true) and 1 or 0)
  at = begin
  for i = 1, count do
    if not keyed then generated[#generated + 1] = job_prefix .. ARGV[at] end
    at = at + width
    if waits then at = at + 2 + tonumber(ARGV[at + 1]) end
  end
end
local resent = false
for first = 1, #generated, 2000 do
  resent = resent or redis.call('EXISTS', unpack(generated, first, math.min(first + 1999, #generated))) > 0
end

-- jobs of this call that were looked at, and not written yet
local planned = {}
-- what keeps a job from taking this id, and whether one that has ended is to be cleared away for it
local function admit(id, key, enqueue_id, unique)
  if planned[id] then return 'duplicate:queued' end
  local held = redis.pcall('HMGET', key, 'status', 'enqueue_id', 'origin')
  if held.err then return 'error:' .. held.err end
  if not held[1] and redis.call('EXISTS', key) == 0 then return nil end
  if held[2] and held[2] == enqueue_id then return codes[held[1]] or 1 end
  if unique == 'id' or not ended[held[1]] then return 'duplicate:' .. (held[1] or 'of no known status') end
  if held[3] and held[3] ~= queue_name then return 'elsewhere:' .. held[3] end
  for _, registry in ipairs({ q.finished, q.failed, q.canceled }) do
    local size = redis.pcall('ZCARD', registry)
    if type(size) == 'table' then return 'error:' .. size.err end
  end
  return nil, true
end
local function clear_away(id, key)
  for _, registry in ipairs({ q.finished, q.failed, q.canceled }) do redis.call('ZREM', registry, id) end
  redis.call('DEL', key, results_prefix .. id)
end

local function waits_key(id) return job_prefix .. ':' .. id .. ':dependencies' end
local function dependents_key(id) return job_prefix .. id .. ':dependents' end
-- whether a job waits for another one, straight or through others; at most so many are looked at
local function waits_for(id, other)
  local seen, left = { [id] = true }, { id }
  local looks = 10000
  while #left > 0 and looks > 0 do
    local ids = redis.pcall('SMEMBERS', waits_key(table.remove(left)))
    for _, each in ipairs(ids.err and {} or ids) do
      if each == other then return true end
      looks = looks - 1
      if not seen[each] then
        seen[each] = true
        left[#left + 1] = each
      end
    end
  end
  return false
end
-- what a job waits for, from the n-th argument on; or what is wrong with that
local function unmet_of(id, first, takes, count, allows, keyed)
  local unmet, met, lasting = {}, {}, {}
  -- what nobody waits for can't be waited for by what it waits for: so the way up is gone for an id only that was used before
  local awaited = keyed and redis.call('EXISTS', dependents_key(id), releasing .. ':' .. id) > 0
  for n = 0, count - 1 do
    local other = ARGV[first + n]
    local status = redis.pcall('HGET', job_prefix .. other, 'status')
    if type(status) == 'table' then return nil, 'error:' .. status.err end
    if planned[other] then status = 'queued' end
    if not status and n < takes then return nil, 'gone:' .. other end
    if status and status ~= 'finished' and not (allows and status == 'failed') then
      local set = redis.pcall('SCARD', dependents_key(other))
      if type(set) == 'table' then return nil, 'error:' .. set.err end
      if awaited and waits_for(other, id) then return nil, 'cycle:' .. other end
      unmet[#unmet + 1] = other
      -- a job of this id that ended before may have left a lifetime
      lasting[other] = set > 0 and not ended[status]
    elseif status and n < takes then met[#met + 1] = { other, status == 'failed' and 'null' or nil } end
  end
  if #unmet > 0 then
    local size = redis.pcall('ZCARD', q.deferred)
    if type(size) == 'table' then return nil, 'error:' .. size.err end
  end
  return unmet, nil, met, lasting
end
local filling
local function fill_in()
  if not filling then
    ${fill}
    filling = { note = note_result, fill = fill }
  end
  return filling
end

local function calls_of()
  if not calls then
    ${announce}
    ${seconds}
    ${keep}
    ${uniqueCalls}
    calls = { held = held, hold = hold, take_out = take_out, publish = publish_all }
  end
  return calls
end
-- the reply where the same call is there already; or the job that this one replaces, and its status
local function look_for_same(call, id, keyed, otherwise)
  local other, status = calls_of().held(call)
  if not other then return status end
  -- sent before: it has ended, and nothing of it was kept
  if other == id and not keyed then return 1 end
  if otherwise ~= 'replace' then return 'same:' .. other .. ':' .. status end
  if status ~= 'queued' and status ~= 'deferred' and status ~= 'scheduled' then return nil end
  for _, registry in ipairs({ q.deferred, q.scheduled, q.canceled }) do
    local size = redis.pcall('ZCARD', registry)
    if type(size) == 'table' then return 'error:' .. size.err end
  end
  return nil, other, status
end

local plain = true
local replies
for pass = string.find(mode, 'together', 1, true) and 1 or 2, 2 do
  local writes, refused = pass == 2, false
  replies = {}
  for i = 1, #back do replies[i] = 1 end
  if writes then planned = {} end
  at = started_at
  while at < last do
    local begin, count, settings, last_setting, to_front, ttl, keyed, due, group, waits, unique = group_at(at)
    local otherwise, counts_for = string.match(unique, '^(%l+):(%d+)$')
    local width = 3 + (keyed and 1 or 0) + (otherwise and 1 or 0)
    at = begin
    local flaw, score, allows
    if due ~= '' then
      local delay = string.match(due, '^%+(.*)$')
      score = delay and now + tonumber(delay) or tonumber(due)
      local size = redis.pcall('ZCARD', q.scheduled)
      if type(size) == 'table' then flaw = 'error:' .. size.err end
    end
    if group ~= '' then
      local size = redis.pcall('SCARD', group_prefix .. group)
      if type(size) == 'table' then flaw = 'error:' .. size.err end
    end
    for n = settings, waits and last_setting or 0, 2 do
      if ARGV[n] == 'allow_dependency_failures' then allows = true end
    end
    for i = 1, count do
      local id = ARGV[at]
      local key = job_prefix .. id
      local refusal = flaw
      local first = at + width
      local replaces, unmet, met, lasting, replaced, was
      local stands_for = otherwise and ARGV[first - 1]
      local call = otherwise and unique_prefix .. queue_name .. ':' .. stands_for
      if refusal then -- nothing of its group can be stored
      elseif keyed then
        refusal, replaces = admit(id, key, ARGV[at + 3], unique)
      elseif resent then
        local status = redis.pcall('HGET', key, 'status')
        if type(status) == 'table' then refusal = 'error:' .. status.err
        elseif status then refusal = codes[status] or 1 end
      end
      if call and not refusal then refusal, replaced, was = look_for_same(call, id, keyed, otherwise) end
      if waits then
        local takes, others = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
        first = first + 2
        if not refusal then unmet, refusal, met, lasting = unmet_of(id, first, takes, others, allows, keyed) end
        first = first + others
      end
      local status = 'queued'
      if refusal then refused = refused or type(refusal) == 'string'
      elseif not writes then planned[id] = true
      else
        -- not sooner: a call that is refused leaves the job of this id as it is
        if replaces then clear_away(id, key) end
        if unmet and #unmet > 0 then status = 'deferred' elseif score then status = 'scheduled' end
        redis.call('HSET', key, 'status', status, 'origin', queue_name, 'created_at', timestamp(), 'enqueued_at', timestamp(),
          'data', ARGV[at + 1], 'description', ARGV[at + 2], unpack(ARGV, settings, last_setting))
        if keyed then redis.call('HSET', key, 'enqueue_id', ARGV[at + 3]) end
        if group ~= '' then redis.call('SADD', group_prefix .. group, id) end
        if status == 'scheduled' then redis.call('ZADD', q.scheduled, string.format('%.3f', score), id)
        elseif ttl ~= '0' then redis.call('EXPIRE', key, ttl) end
        if met and #met > 0 then
          for _, one in ipairs(met) do fill_in().note(key, one[1], one[2]) end
        end
        if status == 'deferred' then
          redis.call('HDEL', key, 'enqueued_at')
          for _, other in ipairs(unmet) do
            redis.call('SADD', dependents_key(other), id)
            if lasting[other] then redis.call('PERSIST', dependents_key(other)) end
          end
          for n = 1, #unmet, 2000 do
            redis.call('SADD', waits_key(id), unpack(unmet, n, math.min(n + 1999, #unmet)))
          end
          if ttl ~= '0' then redis.call('EXPIRE', waits_key(id), ttl) end
          redis.call('ZADD', q.deferred, string.format('%.3f', now), id)
        elseif status == 'queued' then
          if met and #met > 0 then fill_in().fill(key) end
        end
        local placed
        if call then
          if replaced then placed = calls.take_out(replaced, was, status == 'queued' and not to_front and id or nil) end
          calls.hold(call, id, tonumber(counts_for), score and math.max(0, math.ceil(score - now)) or 0)
          if counts_for == '0' then redis.call('HSET', key, 'unique', stands_for) end
        end
        if status == 'queued' and not placed then
          if to_front then front[#front + 1] = id else back[#back + 1] = id end
        end
      end
      local answer = refusal or codes[status] or 1
      plain = plain and answer == 1
      replies[#replies + 1] = answer
      at = first
    end
    if group ~= '' and writes and not flaw then redis.pcall('SADD', groups, group) end
  end
  if refused then break end
end
if not plain then reply = replies end`;
