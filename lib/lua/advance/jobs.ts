/**
 * The second half of `advance`: takes jobs, first those that blocking reads took, then from the queues in their order, and
 * registers a run of each. Leaves `jobs`, `dropped`, `more`, `next_turn` and `alone`.
 */
export const jobs = `
-- ---- new jobs
local jobs, dropped, runs = {}, {}, {}
local taken = 0
local wanted = tonumber(want)
local elsewhere = { started = true, finished = true, failed = true, deferred = true, scheduled = true, canceled = true,
  stopped = true, created = true, rate_limited = true, ready_to_enqueue = true }

local function drop(i, id, reason) dropped[#dropped + 1] = { i, id, reason } end

local looked_at = { status = true, ttl = true, ended_at = true, dependency_ids = true, recoveries = true }
local alone, cut = 0, false
-- false where the id has to go back: a job on probation is taken by itself
local function start(i, id)
  local key = job_prefix .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then drop(i, id, 'not a hash') return true end
  if #fields == 0 then drop(i, id, 'gone') return true end
  local status, may_expire, depended, lost
  for f = 1, #fields, 2 do
    local name = fields[f]
    if looked_at[name] then
      if name == 'status' then status = fields[f + 1]
      elseif name == 'dependency_ids' then depended = true
      elseif name == 'recoveries' then lost = tonumber(fields[f + 1])
      else may_expire = true end
    end
  end
  -- a status that nobody knows is taken, so that the worker can fail the job for it
  if status ~= 'queued' and elsewhere[status] then drop(i, id, status) return true end
  if lost and lost >= tonumber(probation) then
    if taken > 0 or single ~= '1' then
      alone = 2
      cut = true
      return false
    end
    alone = 1
  end
  local run = run_prefix .. string.char(97 + math.floor(taken / 26), 97 + taken % 26)
  jobs[taken * 3 + 1], jobs[taken * 3 + 2], jobs[taken * 3 + 3] = i, id, fields
  taken = taken + 1
  redis.call('HSET', key, 'status', 'started', 'started_at', timestamp(), 'worker_name', worker, 'execution_id', run)
  -- Python's requeue leaves the lifetime of the ended job on, and the field, if empty
  if may_expire then redis.call('PERSIST', key) end
  if depended then redis.call('DEL', job_prefix .. ':' .. id .. ':dependencies') end
  local list = runs[i] or {}
  runs[i] = list
  list[#list + 1] = expiry(tonumber(lease))
  list[#list + 1] = id .. ':' .. run
  announce(names[i], id, 'started', worker)
  if alone == 1 then
    wanted = taken
    cut = true
  end
  return true
end

local more = 0
if (wanted > 0 or string.find(claims, '1', 1, true)) and redis.call('EXISTS', suspended) == 1 then
  more = 2
  wanted = 0
end

-- what a blocking read took comes first; what there is no slot for goes back at once
for i = 1, queues do
  if string.sub(claims, i, i) == '1' and usable(i) then
    local q = queue(i)
    local held = redis.pcall('LRANGE', q.claims, 0, -1)
    if not held.err and #held > 0 then
      redis.call('DEL', q.claims)
      local back = {}
      for n = 1, #held do
        if taken >= wanted or not start(i, held[n]) then
          wanted = taken
          table.insert(back, 1, held[n])
        end
      end
      if #back > 0 then redis.call('LPUSH', q.list, unpack(back)) end
    end
  end
end

-- takes up to n ids; answers how many there were
local function take(i, n)
  local ids = redis.pcall('LPOP', queue(i).list, n)
  if not ids then return 0 end
  -- looked at only now, as a list is found empty more often than not
  local sound = usable(i)
  if ids.err then return 0 end
  for k = 1, #ids do
    if not sound or taken >= wanted or not start(i, ids[k]) then
      if sound then wanted = taken end
      for back = #ids, k, -1 do redis.call('LPUSH', queue(i).list, ids[back]) end
      return k - 1
    end
  end
  return #ids
end

local next_turn = tonumber(turn)
-- ids without a job count too, so that a list full of expired ones is cleared over several calls
local left = wanted * 2 + 100
if wanted > taken then
  more = 1
  if order == 'default' then
    local i = 1
    while i <= queues and taken < wanted and left > 0 do
      local n = math.min(wanted - taken, left)
      local found = take(i, n)
      left = left - found
      if found < n then i = i + 1 end
    end
    if i > queues and not cut then more = 0 end
  else
    local open = {}
    for i = 1, queues do open[i] = i end
    if order == 'random' then math.randomseed(next_turn) end
    while #open > 0 and taken < wanted and left > 0 do
      local k = 1
      if order == 'random' then k = math.random(#open)
      else while k < #open and open[k] < next_turn do k = k + 1 end
        if open[k] < next_turn then k = 1 end
      end
      local found = take(open[k], 1)
      left = left - found
      if found > 0 then next_turn = open[k] % queues + 1 else table.remove(open, k) end
    end
    if #open == 0 and not cut then more = 0 end
  end
elseif wanted > 0 or cut then
  more = 1
end
for i, list in pairs(runs) do
  for first = 1, #list, 2000 do
    redis.call('ZADD', queue(i).started, unpack(list, first, math.min(first + 1999, #list)))
  end
end`;
