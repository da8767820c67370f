/** Lua for jobs that wait for other jobs: what a finished job's result fills in, and when who waits is queued. */

/** What stands in a job's `data` for the result of another one, as `reference.ts` writes it. */
const TOKEN: string = String.raw`"\\u006aob:`;

/**
 * `note_result(key, id, text)` keeps a result for a job that waits; without a text it is read where the hash is known to
 * hold it. `fill(key)` puts the results kept so far in the places of their tokens, JSON text for JSON text: through `cjson`
 * they would lose `[]` and great numbers. What it can't fill in, the worker that claims the job does. Needs the arguments
 * `job_prefix` and `results_prefix`.
 */
export const fill: string = `
local function note_result(key, id, text)
  -- Python's result is in its stream, and the hash may hold that of an earlier run
  if not text and redis.call('EXISTS', results_prefix .. id) == 0 then
    text = redis.pcall('HGET', job_prefix .. id, 'result')
  end
  if type(text) == 'string' and text ~= '' then redis.call('HSET', key, 'argument:' .. id, text) end
end
local function fill(key)
  local data = redis.call('HGET', key, 'data')
  if not data or not string.find(data, '${TOKEN}', 1, true) then return end
  local known, ids = {}, {}
  for id in string.gmatch(data, '${TOKEN}([%w_-]+)"') do
    if known[id] == nil then
      known[id] = false
      ids[#ids + 1] = id
    end
  end
  for first = 1, #ids, 1000 do
    local fields = {}
    for n = first, math.min(first + 999, #ids) do fields[#fields + 1] = 'argument:' .. ids[n] end
    local texts = redis.call('HMGET', key, unpack(fields))
    for n = 1, #fields do known[ids[first + n - 1]] = texts[n] end
  end
  -- a table's false leaves the match as it is
  redis.call('HSET', key, 'data', (string.gsub(data, '${TOKEN}([%w_-]+)"', known)))
  -- who told its result did not know whether it is taken: so of all that it waited for
  local noted = {}
  for id in string.gmatch(redis.call('HGET', key, 'dependency_ids') or '', '"([%w_-]+)"') do
    noted[#noted + 1] = 'argument:' .. id
  end
  for first = 1, #noted, 1000 do redis.call('HDEL', key, unpack(noted, first, math.min(first + 999, #noted))) end
end`;

/**
 * `release(id, status, ttl, text)` queues the jobs that waited for this one and now for none: `status` is how it ended, or
 * `gone` where it counts as finished without a result, `text` its result. A dependency that failed counts where the
 * dependent allows it, one that is gone counts as met. Where there are more than this script has `release_left` for,
 * they wait in a set of their own for `release_some`.
 *
 * `settle(id)` queues one job where nothing is left that it waits for. Needs \`fill\`, \`clock\`, \`announce\`, \`queueAgain\`, the
 * keys \`all\` and \`releasing\`, and the arguments \`job_prefix\`, \`list_prefix\`, \`deferred_prefix\`: a dependent may be on any queue.
 */
export const release = `
local function waits_for(id) return job_prefix .. ':' .. id .. ':dependencies' end
-- held: status, origin, allow_dependency_failures, enqueue_at_front, takes_results
local function settle_held(id, key, held)
  local allows, takes = held[3] == '1', held[5] == '1'
  local list, deferred = list_prefix .. held[2], deferred_prefix .. held[2]
  if type(redis.pcall('LLEN', list)) == 'table' or type(redis.pcall('ZCARD', deferred)) == 'table' then return false end
  while true do
    -- any of them: as each that is met leaves the set, few looks are needed however many there are
    local other = redis.pcall('SRANDMEMBER', waits_for(id))
    if type(other) == 'table' then return false end
    if not other then break end
    local status = redis.pcall('HGET', job_prefix .. other, 'status')
    if type(status) == 'string' and status ~= 'finished' and not (allows and status == 'failed') then return false end
    if takes and status == 'finished' then note_result(key, other)
    elseif takes and status == 'failed' then note_result(key, other, 'null') end
    -- nobody will tell those that waited for one that is gone
    if not status then redis.call('UNLINK', job_prefix .. other .. ':dependents') end
    redis.call('SREM', waits_for(id), other)
  end
  if takes then fill(key) end
  redis.call('ZREM', deferred, id)
  redis.pcall('SADD', all, list)
  queue_again(key, id, list, held[4] == '1')
  announce(held[2], id, 'queued')
  return true
end
local function waiting(key)
  local held = redis.pcall('HMGET', key, 'status', 'origin', 'allow_dependency_failures', 'enqueue_at_front', 'takes_results')
  if held.err or held[1] ~= 'deferred' or not held[2] then return nil end
  return held
end
local function settle(id)
  local key = job_prefix .. id
  local held = waiting(key)
  return held ~= nil and settle_held(id, key, held)
end
-- answers whether the dependent has to be told no more
local function tell(dependent, id, status, text)
  local key = job_prefix .. dependent
  local held = waiting(key)
  if not held then return true end
  if status == 'failed' and held[3] ~= '1' then return false end
  if type(redis.pcall('SREM', waits_for(dependent), id)) == 'table' then return true end
  if status == 'failed' then text = 'null' end
  if text and held[5] == '1' then note_result(key, id, text) end
  settle_held(dependent, key, held)
  return true
end
local function leave(dependents, ttl)
  -- what is left waits for a job that failed: should that one finish after all, it is asked for
  if ttl > 0 then redis.pcall('EXPIRE', dependents, ttl) elseif ttl == 0 then redis.call('UNLINK', dependents) end
end
-- a long result is copied for each dependent: what that costs, in short ones
local function cost_of(text) return 1 + math.floor(#(text or '') / 4096) end
local function release(id, status, ttl, text)
  local dependents = job_prefix .. id .. ':dependents'
  local count = redis.pcall('SCARD', dependents)
  if type(count) == 'table' or count == 0 then return end
  if status == 'stopped' or status == 'canceled' then return leave(dependents, ttl) end
  if status ~= 'finished' then text = nil end
  local cost = cost_of(text)
  if count * cost > math.max(release_left, cost) or release_left <= 0 then
    local set = releasing .. ':' .. id
    if redis.call('EXISTS', set) == 0 then redis.call('RENAME', dependents, set)
    elseif type(redis.pcall('SUNIONSTORE', set, set, dependents)) ~= 'table' then redis.call('UNLINK', dependents) end
    redis.call('PERSIST', set)
    redis.call('HSET', releasing, id, status .. ':' .. string.format('%d', ttl) .. ':' .. (text or ''))
    return
  end
  release_left = release_left - count * cost
  for _, dependent in ipairs(redis.call('SMEMBERS', dependents)) do
    if tell(dependent, id, status, text) then redis.call('SREM', dependents, dependent) end
  end
  leave(dependents, ttl)
end`;

/**
 * `let_go(id)` has the jobs that waited for this one wait for it no more: a worker sees to it soon. Needs the key \`releasing\`
 * and the argument \`job_prefix\`.
 */
export const letGo = `
local function let_go(id)
  local dependents, set = job_prefix .. id .. ':dependents', releasing .. ':' .. id
  local count = redis.pcall('SCARD', dependents)
  if type(count) == 'table' or count == 0 then return end
  if type(redis.pcall('HSET', releasing, id, 'gone:0:')) == 'table' then return end
  if redis.call('EXISTS', set) == 0 then redis.call('RENAME', dependents, set)
  elseif type(redis.pcall('SUNIONSTORE', set, set, dependents)) ~= 'table' then redis.call('UNLINK', dependents) end
  redis.call('PERSIST', set)
end`;

/** `release_some()` goes on with the dependents that were too many for one script; answers whether it found any. */
export const releaseSome = `
local function release_part(id)
  local status, ttl, text = string.match(redis.call('HGET', releasing, id), '^(%l+):(%-?%d+):(.*)$')
  local set, dependents = releasing .. ':' .. id, job_prefix .. id .. ':dependents'
  local cost = cost_of(text)
  local most = math.max(1, math.floor(release_left / cost))
  local some = redis.pcall('SPOP', set, most)
  release_left = release_left - math.max(1, #some * cost)
  if some.err or not status then return redis.call('HDEL', releasing, id) end
  if text == '' then text = nil end
  for _, dependent in ipairs(some) do
    if not tell(dependent, id, status, text) then redis.pcall('SADD', dependents, dependent) end
  end
  if #some < most then
    redis.call('HDEL', releasing, id)
    redis.call('UNLINK', set)
    leave(dependents, tonumber(ttl))
  end
end
local function release_some()
  if type(redis.pcall('HLEN', releasing)) == 'table' then return false end
  local found = false
  repeat
    local id = redis.call('HRANDFIELD', releasing)
    if not id then return found end
    found = true
    release_part(id)
  until release_left <= 0
  return true
end`;
