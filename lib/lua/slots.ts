/** Lua for jobs that share a few slots by a key: who takes one, who waits aside, and who comes next. */

/**
 * `slot_free(key, most)` says whether one of a key's slots can be taken. A run that is over without a word (its worker
 * died, a job was canceled) takes none: this is looked at where all seem taken, once a call. `park(key, id)` has a job
 * wait for one, off its queue. `unpark(key, n)` puts up to so many of them back to the front of their queues. Needs the
 * keys `all` and `parked`, and the arguments `job_prefix`, `list_prefix`, `slots_prefix`, `parked_prefix`.
 */
export const slots = `
local slots_looked_at = {}
local function slots_taken(key)
  local members = redis.pcall('SMEMBERS', slots_prefix .. key)
  if members.err then return 0 end
  local taken_slots = 0
  for _, member in ipairs(members) do
    local id, run = string.match(member, '^(.*):([^:]*)$')
    local held = id and redis.pcall('HMGET', job_prefix .. id, 'status', 'execution_id') or { err = true }
    if not held.err and held[1] == 'started' and held[2] == run then taken_slots = taken_slots + 1
    else redis.call('SREM', slots_prefix .. key, member) end
  end
  return taken_slots
end
local function slot_free(key, most)
  local size = redis.pcall('SCARD', slots_prefix .. key)
  if type(size) == 'table' or size < most then return true end
  if slots_looked_at[key] then return false end
  slots_looked_at[key] = true
  return slots_taken(key) < most
end
local function park(key, id)
  if type(redis.pcall('RPUSH', parked_prefix .. key, id)) == 'table' then return false end
  redis.pcall('SADD', parked, key)
  return true
end
local function unpark(key, n)
  local list = parked_prefix .. key
  while n > 0 do
    local id = redis.pcall('LINDEX', list, 0)
    if not id or type(id) == 'table' then
      redis.pcall('SREM', parked, key)
      return
    end
    local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'origin')
    if not held.err and held[1] == 'queued' and held[2] then
      if type(redis.pcall('LPUSH', list_prefix .. held[2], id)) == 'table' then return end
      redis.pcall('SADD', all, list_prefix .. held[2])
      n = n - 1
    end
    redis.call('LPOP', list)
  end
end`;
