/** Lua for jobs that share a few slots by a key: who takes one, who waits aside, and who comes next. */
import type { Constant } from '../constants.ts';

/** The constants that `slots` needs besides `job_prefix`. */
export const SLOT_CONSTANTS: readonly Constant[] = [
  'list_prefix',
  'slots_prefix',
  'parked_prefix',
  'aside_prefix',
];

/**
 * `free_slot(key, id, run)`: a run is over, so the next job that waits for a slot of the key comes back. `unpark(key, n)` puts up to
 * so many of them back to the front of their queues, in their order: they ask again there, so one too many does no harm. `leave(key, id, run,
 * queue_name)`: a job that has not ended is taken away, wherever it is. Needs the keys `all` and `parked`, the constants
 * `job_prefix` and `SLOT_CONSTANTS`.
 */
export const slots = `
local function unpark(key, n)
  local waiting = parked_prefix .. key
  -- a few more than are wanted, as some may be canceled, or of a queue that can't be pushed to
  local page = n > 0 and redis.pcall('ZRANGE', waiting, 0, n + 19)
  if not page or page.err then return end
  local back = {}
  for _, id in ipairs(page) do
    if #back == n then break end
    local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'origin', 'limit_key')
    local waits = not held.err and held[1] == 'queued' and held[2] and held[3] == key
    local list = waits and list_prefix .. held[2]
    if not waits or type(redis.pcall('LLEN', list)) ~= 'table' then
      redis.call('ZREM', waiting, id)
      if not held.err and held[2] then redis.pcall('ZREM', aside_prefix .. held[2], id) end
      if waits then back[#back + 1] = { list, id } end
    end
  end
  for i = #back, 1, -1 do
    redis.call('LPUSH', back[i][1], back[i][2])
    redis.pcall('SADD', all, back[i][1])
  end
  if redis.call('EXISTS', waiting) == 0 then redis.pcall('ZREM', parked, key) end
end
local function free_slot(key, id, run)
  redis.pcall('SREM', slots_prefix .. key, id .. ':' .. run)
  unpark(key, 1)
end
local function leave(key, id, run, queue_name)
  local waiting = parked_prefix .. key
  if redis.pcall('ZREM', waiting, id) ~= 1 then return free_slot(key, id, run) end
  redis.pcall('ZREM', aside_prefix .. queue_name, id)
  if redis.call('EXISTS', waiting) == 0 then redis.pcall('ZREM', parked, key) end
end`;

/**
 * For who claims. `slot_free(key, most)` says whether one of a key's slots can be taken. `park(key, id, queue_name, since)` has a job
 * wait for one, off its queue; where that can't be written down, it answers false. `since` is a timestamp: who came first on its
 * queue is first in the line, also after it has asked in vain. Needs `clock` besides.
 */
export const parking = `
local function slot_free(key, most)
  local size = redis.pcall('SCARD', slots_prefix .. key)
  return type(size) == 'table' or size < most
end
local function moment(text)
  local year, month, day, hour, minute, second = string.match(text or '', '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z?$')
  if not year then return nil end
  -- days since 1970, counting years from the first of March: as seconds a double keeps each microsecond
  local y, m = tonumber(year), tonumber(month)
  if m < 3 then y = y - 1 end
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + tonumber(day) - 1
  local days = era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
  return string.format('%.6f', days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second))
end
local function park(key, id, queue_name, since)
  local waiting = parked_prefix .. key
  local score = moment(since) or moment(timestamp())
  if type(redis.pcall('ZADD', parked, 'NX', 0, key)) == 'table' then return false end
  if type(redis.pcall('ZADD', waiting, score, id)) == 'table' then return false end
  redis.pcall('ZADD', aside_prefix .. queue_name, score, id)
  return true
end`;

/**
 * For who sweeps. `look_at_slots(key, at_most)` frees the slots of runs that are over without a word, and has as many jobs come back as
 * there are slots, and no more than `at_most`. Needs `slots`, `clock`, and the arguments `started_prefix` and `margin`.
 */
export const lookAtSlots = `
local function slots_taken(key)
  local members = redis.pcall('SMEMBERS', slots_prefix .. key)
  local taken = 0
  for _, member in ipairs(members.err and {} or members) do
    local id, run = string.match(member, '^(.*):([^:]*)$')
    local held = id and redis.pcall('HMGET', job_prefix .. id, 'status', 'execution_id', 'origin') or { err = true }
    local score = not held.err and held[1] == 'started' and held[2] == run and held[3] and
      redis.pcall('ZSCORE', started_prefix .. held[3], member)
    -- one past its lease is lost, though nobody may be there to sweep its queue
    if type(score) == 'string' and tonumber(score) > now + tonumber(margin) then taken = taken + 1
    else redis.call('SREM', slots_prefix .. key, member) end
  end
  return taken
end
local function look_at_slots(key, at_most)
  local most = 1
  local page = redis.pcall('ZRANGE', parked_prefix .. key, 0, 19)
  for _, id in ipairs(page.err and {} or page) do
    local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'limit_key', 'limit_concurrency')
    local own = not held.err and held[1] == 'queued' and held[2] == key and string.match(held[3] or '', '^[1-9]%d*$')
    if own then
      most = tonumber(own)
      break
    end
  end
  local free = most - slots_taken(key)
  unpark(key, math.min(at_most, free))
  -- emptied by somebody else
  if redis.call('EXISTS', parked_prefix .. key) == 0 then redis.pcall('ZREM', parked, key) end
end`;
