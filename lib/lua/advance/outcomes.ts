/**
 * The first half of `advance`: looks at the fence of each run that is handed in, writes what came of it, and queues what
 * waited for it. Leaves `answers`, and how many are `accepted`.
 */
export const outcomes = `
-- ---- outcomes
local ended, registered = {}, {}
local over, over_dependents, freed = {}, {}, {}
local stream_type = { finished = '1', failed = '2', stopped = '3' }

local function stream_in(id, run, status, stream, seconds)
  redis.pcall('XADD', results_prefix .. id, 'MAXLEN', '10', '*', 'type', stream_type[status], 'worker_name', worker,
    status == 'finished' and 'return_value' or 'exc_string', stream,
    'execution_id', run, 'execution_started_at', string.format('%.6f', now - tonumber(seconds)),
    'execution_ended_at', string.format('%.6f', now))
end
local function finish(i, id, run, status, ttl, text, stream, seconds, announced_text, follows, shares)
  local key = job_prefix .. id
  -- whatever became of the job: this run is over
  if shares ~= '' and slots_prefix ~= '' then
    redis.pcall('SREM', slots_prefix .. shares, id .. ':' .. run)
    freed[shares] = (freed[shares] or 0) + 1
  end
  -- the worker as well: Python's claim leaves our execution id in place
  local fence = redis.pcall('HMGET', key, 'status', 'execution_id', 'worker_name', 'unique')
  if fence.err then return 0 end
  if fence[2] ~= run or fence[3] ~= worker then
    -- a failure after which the job was retried left its mark among the errors
    if follows == 'repeat' then return redis.call('HGET', key, 'repeated_run') == run and 1 or 0 end
    local errors = status == 'failed' and redis.call('HGET', key, 'errors')
    if not errors or not string.find(errors, run, 1, true) then return 0 end
    return fence[1] == 'scheduled' and 3 or 2
  end
  if fence[1] ~= 'started' then
    -- handed in before, and the reply was lost
    if fence[1] == status then return 1 end
    return 0
  end
  local field = status == 'finished' and 'result' or 'exc_info'
  local gone = ended[i] or {}
  ended[i] = gone
  gone[#gone + 1] = id .. ':' .. run
  if status == 'failed' then
    redis.call('HSET', key, 'ended_at', timestamp(), 'exc_info', text)
    local again
    -- who asked it to stop was told that it would
    if redis.call('HGET', key, 'stop_requested') == run then follows = 'never' end
    if follows == 'plan' then again = following().retry(key, id, queue(i).list, queue(i).scheduled)
    else
      local delay, most = string.match(follows, '^(%d+)/(%d+)$')
      again = delay and following().run_as_asked(key, id, queue(i).list, queue(i).scheduled, tonumber(delay), tonumber(most))
    end
    if again then
      announce(names[i], id, again, worker)
      return again == 'queued' and 2 or 3
    end
  end
  over[#over + 1] = { id, status, ttl, text }
  over_dependents[#over] = job_prefix .. id .. ':dependents'
  local again = follows == 'repeat' and following().run_repeated(key, id, queue(i).list, queue(i).scheduled, run)
  if again then
    if stream then
      stream_in(id, run, status, stream, seconds)
      keep(results_prefix .. id, ttl)
    end
    announce(names[i], id, again, worker)
    return 1
  end
  -- the next call of its kind may be queued; should this job be requeued, it counts again
  local call = fence[4] and unique_prefix .. names[i] .. ':' .. fence[4]
  if call and redis.pcall('GET', call) == id then
    if ttl == 0 then redis.call('DEL', call) elseif ttl > 0 then redis.call('EXPIRE', call, ttl) end
  end
  if ttl == 0 then
    local group = redis.call('HGET', key, 'group_id')
    if group and group ~= '' then redis.pcall('SREM', group_prefix .. group, id) end
    redis.call('DEL', key, results_prefix .. id)
  else
    redis.call('HSET', key, 'status', status, 'ended_at', timestamp(), field, text)
    if ttl > 0 then redis.pcall('EXPIRE', key, ttl) end
    if stream then
      stream_in(id, run, status, stream, seconds)
      keep(results_prefix .. id, ttl)
    end
    local kind = status == 'finished' and 'finished' or 'failed'
    local list = registered[kind .. i]
    if not list then
      list = { key = queue(i)[kind] }
      registered[kind .. i] = list
      registered[#registered + 1] = list
    end
    list[#list + 1] = expiry(ttl)
    list[#list + 1] = id
  end
  announce(names[i], id, status, worker, announced_text)
  return 1
end

local at, last = rest, #ARGV
while at < last do
  local count, i, status, ttl = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
  local published, streamed, follows, shares = ARGV[at + 4] == '1', ARGV[at + 5] == '1', ARGV[at + 6], ARGV[at + 7]
  local width = streamed and 5 or 3
  at = at + 8
  for n = 1, count do
    local answer = -1
    if usable(i) then
      local text = ARGV[at + 2]
      answer = finish(i, ARGV[at], ARGV[at + 1], status, ttl, text, streamed and ARGV[at + 3],
        streamed and ARGV[at + 4], published and text, follows, shares)
    end
    answers[#answers + 1] = answer
    if answer == 1 then accepted = accepted + 1 end
    at = at + width
  end
end
for i, members in pairs(ended) do
  for first = 1, #members, 2000 do
    redis.call('ZREM', queue(i).started, unpack(members, first, math.min(first + 1999, #members)))
  end
end
for _, list in ipairs(registered) do
  for first = 1, #list, 2000 do
    redis.call('ZADD', list.key, unpack(list, first, math.min(first + 1999, #list)))
  end
end

-- all of a key at once, so that they come back in their order
for key, n in pairs(freed) do following().unpark(key, n) end

-- asked for all at once, as hardly any job has dependents
for first = 1, #over, 2000 do
  local last = math.min(first + 1999, #over)
  if redis.call('EXISTS', unpack(over_dependents, first, last)) > 0 then
    for n = first, last do following().release(unpack(over[n])) end
  end
end
`;
