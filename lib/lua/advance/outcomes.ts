/**
 * The first half of `advance`: looks at the fence of each run that is handed in, writes what came of it, and queues what
 * waited for it. Leaves `answers`, and how many are `accepted`.
 */
export const outcomes = `
-- ---- outcomes
local ended, registered, freed = {}, {}, {}
-- those that are over: id, group, where its text stands, key of its dependents
local overs, over, over_group, over_text, over_dependents = 0, {}, {}, {}, {}

-- what Python reads; made when it is needed
local stream_in
local function streaming()
  if not stream_in then
    local stream_type = { finished = '1', failed = '2', stopped = '3' }
    stream_in = function(id, run, status, ttl, stream, seconds)
      try('XADD', results_prefix .. id, 'MAXLEN', '10', '*', 'type', stream_type[status], 'worker_name', worker,
        status == 'finished' and 'return_value' or 'exc_string', stream,
        'execution_id', run, 'execution_started_at', string.format('%.6f', now - tonumber(seconds)),
        'execution_ended_at', string.format('%.6f', now))
      keep(results_prefix .. id, ttl)
    end
  end
  return stream_in
end

local at, last, count_of_answers = rest, #given, 0
while at < last do
  local count, i, status, lifetime = tonumber(given[at]), tonumber(given[at + 1]), given[at + 2], given[at + 3]
  local published, streamed, follows, shares = given[at + 4] == '1', given[at + 5] == '1', given[at + 6], given[at + 7]
  local width = streamed and 5 or 3
  local ttl = tonumber(lifetime)
  local group = { status = status, ttl = ttl }
  local name, field = names[i], status == 'finished' and 'result' or 'exc_info'
  local sound = usable(i)
  local list, scheduled = queue(i).list, scheduled_prefix .. name
  local runs_over = ended[i] or {}
  ended[i] = runs_over
  local runs_size = #runs_over
  local registry_key = queue(i)[status == 'finished' and 'finished' or 'failed']
  local registry = registered[registry_key] or {}
  registered[registry_key] = registry
  local size, score = #registry, expiry(ttl)
  at = at + 8
  for n = 1, count do
    local id, run, text, answer = given[at], given[at + 1], given[at + 2], -1
    -- left with \`break\` once the answer is known
    while sound do
      local key = job_prefix .. id
      answer = 0
      -- whatever became of the job: this run is over
      if shares ~= '' and slots_prefix ~= '' then
        try('SREM', slots_prefix .. shares, id .. ':' .. run)
        freed[shares] = (freed[shares] or 0) + 1
      end
      -- the worker as well: Python's claim leaves our execution id in place
      local fence = try('HMGET', key, 'status', 'execution_id', 'worker_name', 'unique')
      if fence.err then break end
      if fence[2] ~= run or fence[3] ~= worker then
        -- a failure after which the job was retried left its mark among the errors
        if follows == 'repeat' then
          if command('HGET', key, 'repeated_run') == run then answer = 1 end
          break
        end
        local errors = status == 'failed' and command('HGET', key, 'errors')
        if errors and string.find(errors, run, 1, true) then answer = fence[1] == 'scheduled' and 3 or 2 end
        break
      end
      if fence[1] ~= 'started' then
        -- handed in before, and the reply was lost
        if fence[1] == status then answer = 1 end
        break
      end
      runs_size = runs_size + 1
      runs_over[runs_size] = id .. ':' .. run
      local again
      if status == 'failed' then
        command('HSET', key, 'ended_at', timestamp(), 'exc_info', text)
        local plan = follows
        -- who asked it to stop was told that it would
        if command('HGET', key, 'stop_requested') == run then plan = 'never' end
        if plan == 'plan' then again = following().retry(key, id, list, scheduled)
        else
          local delay, most = string.match(plan, '^(%d+)/(%d+)$')
          again = delay and following().run_as_asked(key, id, list, scheduled, tonumber(delay), tonumber(most))
        end
        if again then
          announce(name, id, again, worker)
          answer = again == 'queued' and 2 or 3
          break
        end
      end
      answer = 1
      overs = overs + 1
      over[overs], over_group[overs], over_text[overs], over_dependents[overs] = id, group, at + 2, key .. ':dependents'
      again = follows == 'repeat' and following().run_repeated(key, id, list, scheduled, run)
      if again then
        if streamed then streaming()(id, run, status, ttl, given[at + 3], given[at + 4]) end
        announce(name, id, again, worker)
        break
      end
      -- the next call of its kind may be queued; should this job be requeued, it counts again
      local call = fence[4] and unique_prefix .. name .. ':' .. fence[4]
      if call and try('GET', call) == id then
        if ttl == 0 then command('DEL', call) elseif ttl > 0 then command('EXPIRE', call, ttl) end
      end
      if ttl == 0 then
        local group_id = command('HGET', key, 'group_id')
        if group_id and group_id ~= '' then try('SREM', group_prefix .. group_id, id) end
        command('DEL', key, results_prefix .. id)
      else
        command('HSET', key, 'status', status, 'ended_at', timestamp(), field, text)
        if ttl > 0 then try('EXPIRE', key, lifetime) end
        if streamed then streaming()(id, run, status, ttl, given[at + 3], given[at + 4]) end
        registry[size + 1], registry[size + 2] = score, id
        size = size + 2
      end
      announce(name, id, status, worker, published and text)
      break
    end
    count_of_answers = count_of_answers + 1
    answers[count_of_answers] = answer
    if answer == 1 then accepted = accepted + 1 end
    at = at + width
  end
end
for i, members in pairs(ended) do
  for first = 1, #members, 2000 do
    command('ZREM', queue(i).started, unpack(members, first, math.min(first + 1999, #members)))
  end
end
for registry, list in pairs(registered) do
  for first = 1, #list, 2000 do
    command('ZADD', registry, unpack(list, first, math.min(first + 1999, #list)))
  end
end

-- all of a key at once, so that they come back in their order
for key, n in pairs(freed) do following().unpark(key, n) end

-- asked for all at once, as hardly any job has dependents
for first = 1, overs, 2000 do
  local last = math.min(first + 1999, overs)
  if command('EXISTS', unpack(over_dependents, first, last)) > 0 then
    for n = first, last do following().release(over[n], over_group[n].status, over_group[n].ttl, given[over_text[n]]) end
  end
end
`;
