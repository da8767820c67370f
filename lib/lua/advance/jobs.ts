/**
 * The second half of `advance`: takes jobs, first those that blocking reads took, then from the queues in their order, and
 * registers a run of each. Leaves `jobs`, `dropped`, `more`, `next_turn`, `alone` and `closed`.
 */
export const jobs = `
-- ---- new jobs
local runs = {}
local claims_only = want == 'claims'
local wanted = claims_only and 1 or tonumber(want)
local elsewhere

-- ---- queues that are paused, or limited
local allowed, limited, limits_met = {}, {}, {}
-- how many jobs may be taken from a queue
local function open(i)
  local known = allowed[i]
  if known then return known end
  local n = math.huge
  local held = aside == '1' and {} or try('HMGET', limits_prefix .. names[i], 'paused', 'rate')
  local rate = not held.err and held[2]
  if not rate and rates ~= '' then
    -- the worker's own
    local place = 0
    for own in string.gmatch(rates, '[^,]+') do
      place = place + 1
      if place == i then rate = own end
    end
  end
  local count, ms
  if rate then count, ms = string.match(rate, '^(%d+)/(%d+)$') end
  if not held.err and held[1] then
    n = 0
    closed[#closed + 1] = { i, 0 }
  elseif count then
    local starts = starts_prefix .. names[i]
    try('ZREMRANGEBYSCORE', starts, '-inf', string.format('%.6f', now - ms / 1000))
    local size = try('ZCARD', starts)
    if type(size) == 'table' then
      -- what can't be counted is not taken
      n = 0
      if usable(i) then unusable[#unusable + 1] = i end
    else
      n = math.max(0, tonumber(count) - size)
      limited[i] = { i = i, ms = ms, most = tonumber(count), before = size }
      limits_met[#limits_met + 1] = limited[i]
    end
  end
  allowed[i] = n
  return n
end

local lease_end = expiry(tonumber(lease))
local looked_at = { status = true, ttl = true, ended_at = true, dependency_ids = true, recoveries = true, limit_key = true,
  redeliver = true }
local cut = false
-- false where the id has to go back: a job on probation is taken by itself, and one that must not run twice by a call whose
-- reply is waited for
local function start(i, id)
  local key = job_prefix .. id
  local fields = try('HGETALL', key)
  local size = #fields
  if size == 0 then
    dropped[#dropped + 1] = { i, id, fields.err and 'not a hash' or 'gone' }
    return true
  end
  local status, may_expire, depended, lost, shares, once
  for f = 1, size, 2 do
    local name = fields[f]
    if looked_at[name] then
      if name == 'status' then status = fields[f + 1]
      elseif name == 'dependency_ids' then depended = true
      elseif name == 'recoveries' then lost = tonumber(fields[f + 1])
      elseif name == 'limit_key' then shares = fields[f + 1]
      elseif name == 'redeliver' then once = fields[f + 1] == '0'
      else may_expire = true end
    end
  end
  -- a status that nobody knows is taken, so that the worker can fail the job for it
  if status ~= 'queued' then
    elsewhere = elsewhere or { started = true, finished = true, failed = true, deferred = true, scheduled = true,
      canceled = true, stopped = true, created = true, rate_limited = true, ready_to_enqueue = true }
    if status and elsewhere[status] then
      dropped[#dropped + 1] = { i, id, status }
      return true
    end
  end
  if lost and lost >= tonumber(probation) then
    if taken > 0 or single ~= '1' then
      alone = 2
      cut = true
      return false
    end
    alone = 1
  end
  -- nobody may be there to run it, and it must not be lost
  if once and claims_only then return false end
  if shares then
    local held = command('HMGET', key, 'limit_concurrency', 'origin', 'enqueued_at')
    local most = tonumber(string.match(held[1] or '', '^[1-9]%d*$') or '')
    -- what somebody else wrote limits nothing
    if not most or shares == '' or slots_prefix == '' or held[2] ~= names[i] then shares = nil
    elseif not following().slot_free(shares, most) and following().park(shares, id, names[i], held[3]) then return true end
  end
  local run = run_prefix .. string.char(97 + math.floor(taken / 26), 97 + taken % 26)
  jobs[taken * 3 + 1], jobs[taken * 3 + 2], jobs[taken * 3 + 3] = i, id, fields
  taken = taken + 1
  command('HSET', key, 'status', 'started', 'started_at', timestamp(), 'worker_name', worker, 'execution_id', run)
  -- Python's requeue leaves the lifetime of the ended job on, and the field, if empty
  if may_expire then command('PERSIST', key) end
  if depended then command('DEL', job_prefix .. ':' .. id .. ':dependencies') end
  local list = runs[i]
  if not list then
    list = { size = 0 }
    runs[i] = list
  end
  local size = list.size
  list[size + 1], list[size + 2] = lease_end, id .. ':' .. run
  list.size = size + 2
  allowed[i] = allowed[i] - 1
  if shares then try('SADD', slots_prefix .. shares, id .. ':' .. run) end
  local rate = limited[i]
  if rate then
    rate[#rate + 1] = string.format('%.6f', now)
    rate[#rate + 1] = run
  end
  announce(names[i], id, 'started', worker)
  if alone == 1 then
    wanted = taken
    cut = true
  end
  return true
end

if aside ~= '1' and command('EXISTS', suspended) == 1 then
  more = 2
  wanted = 0
end

-- what a blocking read took comes first; what there is no slot for goes back at once
for i = 1, queues do
  if string.sub(claims, i, i) == '1' and usable(i) then
    local q = queue(i)
    -- all of them: hardly ever more than one
    local held = try('LPOP', worker_prefix .. worker .. claims_infix .. names[i], '1000000')
    if held and not held.err then
      local back = {}
      for n = 1, #held do
        if taken < wanted and open(i) <= 0 then back[#back + 1] = held[n]
        elseif taken >= wanted or not start(i, held[n]) then
          wanted = taken
          back[#back + 1] = held[n]
        end
      end
      for n = #back, 1, -1 do command('LPUSH', q.list, back[n]) end
    end
    if claims_only and command('LLEN', q.list) > 0 then more = math.max(more, 1) end
  end
end

-- ids without a job count too, so that a list full of expired ones is cleared over several calls
local left = wanted * 2 + 100
if not claims_only and wanted > taken then
  -- takes up to n ids; answers how many there were
  local function take(i, n)
    n = math.min(n, open(i))
    if n <= 0 then return 0 end
    local ids = try('LPOP', queue(i).list, n)
    if not ids then return 0 end
    -- looked at only now, as a list is found empty more often than not
    local sound = usable(i)
    if ids.err then return 0 end
    for k = 1, #ids do
      if not sound or taken >= wanted or not start(i, ids[k]) then
        if sound then wanted = taken end
        for back = #ids, k, -1 do command('LPUSH', queue(i).list, ids[back]) end
        return k - 1
      end
    end
    return #ids
  end
  more = 1
  if order == 'default' then
    local i = 1
    while i <= queues and taken < wanted and left > 0 do
      local n = math.min(wanted - taken, left, open(i))
      local found = take(i, n)
      left = left - found
      if found < n or n <= 0 then i = i + 1 end
    end
    if i > queues and not cut then more = 0 end
  else
    local places, shares_of = {}, {}
    for i = 1, queues do places[i] = i end
    if order == 'weighted' then
      for weight in string.gmatch(weights, '[^,]+') do shares_of[#shares_of + 1] = tonumber(weight) end
    end
    if order ~= 'round_robin' then math.randomseed(next_turn) end
    while #places > 0 and taken < wanted and left > 0 do
      local k = 1
      if order == 'random' then k = math.random(#places)
      elseif order == 'weighted' then
        local sum = 0
        for _, place in ipairs(places) do sum = sum + shares_of[place] end
        local at = math.random(sum)
        while at > shares_of[places[k]] do
          at = at - shares_of[places[k]]
          k = k + 1
        end
      else while k < #places and places[k] < next_turn do k = k + 1 end
        if places[k] < next_turn then k = 1 end
      end
      local found = take(places[k], 1)
      left = left - found
      if found > 0 then next_turn = places[k] % queues + 1 else table.remove(places, k) end
    end
    if #places == 0 and not cut then more = 0 end
  end
elseif not claims_only and wanted > 0 or cut then
  more = 1
end
for i, list in pairs(runs) do
  try('INCRBY', taken_prefix .. names[i], #list / 2)
  for first = 1, #list, 2000 do
    command('ZADD', queue(i).started, unpack(list, first, math.min(first + 1999, #list)))
  end
end
-- what was started counts, and where no more may be, when one may again
for _, rate in ipairs(limits_met) do
  local i, starts = rate.i, starts_prefix .. names[rate.i]
  for first = 1, #rate, 2000 do
    try('ZADD', starts, unpack(rate, first, math.min(first + 1999, #rate)))
  end
  if #rate > 0 then try('PEXPIRE', starts, rate.ms) end
  if allowed[i] <= 0 then
    -- the one after whose time there are fewer than may be: a rate may have been lowered
    local last = math.max(0, rate.before + #rate / 2 - rate.most)
    local gone = try('ZRANGE', starts, last, last, 'WITHSCORES')
    local wait = gone[2] and (tonumber(gone[2]) + rate.ms / 1000 - now) * 1000 or 1000
    local waiting = try('LLEN', queue(i).list)
    closed[#closed + 1] = { i, math.max(1, math.ceil(wait)), type(waiting) == 'number' and waiting or 0 }
  end
end`;
