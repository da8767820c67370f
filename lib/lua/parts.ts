/** Lua that several scripts share. Each part is a few local functions, and says which names it needs. */

/** `names[i]`: the name of the i-th queue, from the argument `queue_names`: names hold no comma. */
export const queueNames = `
local names = {}
for name in string.gmatch(queue_names, '[^,]+') do names[#names + 1] = name end`;

/** `now`: unix seconds of Redis' own clock, with microseconds. `timestamp()`: the same moment in RQ's form. */
export const clock = `
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local timestamp_text
local function timestamp()
  if timestamp_text then return timestamp_text end
  -- days to a civil date, counting years from the first of March; (x - x % n) / n is math.floor(x / n), without a call
  local seconds = tonumber(time[1])
  local second = seconds % 86400
  local z = (seconds - second) / 86400 + 719468
  local doe = z % 146097
  local era = (z - doe) / 146097
  local yoe = doe - (doe - doe % 1460) / 1460 + (doe - doe % 36524) / 36524 - (doe - doe % 146096) / 146096
  yoe = (yoe - yoe % 365) / 365
  local doy = doe - 365 * yoe - (yoe - yoe % 4) / 4 + (yoe - yoe % 100) / 100
  local mp = (5 * doy + 2 - (5 * doy + 2) % 153) / 153
  local day = doy - (153 * mp + 2 - (153 * mp + 2) % 5) / 5 + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local of_hour = second % 3600
  timestamp_text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day, (second - of_hour) / 3600,
    (of_hour - of_hour % 60) / 60, of_hour % 60, tonumber(time[2]))
  return timestamp_text
end`;

/**
 * `publish(queue_name, id, status, worker, result)` publishes a status message. A result is JSON text already. Needs \`clock\` and
 * the argument \`status_prefix\`.
 */
export const publish: string = `
local function publish(queue_name, id, status, worker, result)
  -- a user without the right to publish is no reason to stop half-way
  redis.pcall('PUBLISH', status_prefix .. queue_name .. ':' .. id, '{"job_id":' .. cjson.encode(id) .. ',"status":"' .. status .. '","queue":"' .. queue_name ..
    '","worker":"' .. (worker or '') .. '","at":"' .. timestamp() .. (result and '","result":' .. result .. '}' or '"}'))
end`;

/**
 * `announce(queue_name, id, status, worker, result)` notes a status message, `publish_all(listened)` sends those that somebody
 * listens for: \`listened\` has the channels where these are known, and is true where all are to be told. Needs \`clock\` and the
 * argument \`status_prefix\`.
 */
export const announce: string = `
${publish}
local announced = 0
local channels, about, statuses, of_queue, by_worker, with_result = {}, {}, {}, {}, {}, {}
local channel_prefixes = {}
local function announce(queue_name, id, status, worker, result)
  local channel_prefix = channel_prefixes[queue_name]
  if not channel_prefix then
    channel_prefix = status_prefix .. queue_name .. ':'
    channel_prefixes[queue_name] = channel_prefix
  end
  announced = announced + 1
  channels[announced] = channel_prefix .. id
  about[announced], statuses[announced], of_queue[announced] = id, status, queue_name
  by_worker[announced], with_result[announced] = worker, result
end
local function publish_all(listened)
  if announced == 0 then return end
  if not listened and redis.call('PUBSUB', 'NUMPAT') > 0 then listened = true end
  for first = 1, announced, 500 do
    local last = math.min(first + 499, announced)
    local counts = not listened and redis.call('PUBSUB', 'NUMSUB', unpack(channels, first, last))
    for i = first, last do
      if listened == true or listened and listened[channels[i]] or counts and tonumber(counts[(i - first) * 2 + 2]) > 0 then
        publish(of_queue[i], about[i], statuses[i], by_worker[i], with_result[i])
      end
    end
  end
end`;

/** `seconds(text)`: a duration as RQ stores it, whole and of at most 15 digits; nil for what is none. */
export const seconds = `
local function seconds(text)
  if text and #text <= 15 and string.find(text, '^-?%d+$') then return tonumber(text) end
  return nil
end`;

/** `keep(key, ttl)` gives a hash its lifetime, `expiry(ttl)` is the score that goes with it: seconds, or -1 for ever. */
export const keep = `
local function keep(key, ttl)
  if ttl > 0 then redis.pcall('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
-- a score is made a text once: Redis would do it for each use of a number
local expiries = {}
local function expiry(ttl)
  local known = expiries[ttl]
  if known then return known end
  known = ttl < 0 and '+inf' or string.format('%.3f', now + ttl)
  expiries[ttl] = known
  return known
end`;

/**
 * `sound(unit, names)` raises where a key of the queue has the wrong type. A script that fails half-way has done its
 * first half, so this comes before the first write.
 */
export const sound = `
local function sound(unit, names)
  redis.call('LLEN', unit.list)
  for _, name in ipairs(names) do redis.call('ZCARD', unit[name]) end
end`;

/**
 * `queue_again(key, id, list, at_front)`: a job's hash is cleared of its last run, keeps that run's error among
 * `errors`, and its id goes back to the list. Needs \`clock\`, \`seconds\` and the arguments \`errors_kept\`, \`error_bytes\`.
 */
export const queueAgain = `
local function remember_error(key)
  local run = redis.call('HMGET', key, 'exc_info', 'ended_at', 'worker_name', 'errors', 'execution_id')
  local text = run[1]
  -- what Python wrote compressed is in its result stream as well; the first two bytes of zlib are a multiple of 31
  if not text or text == '' then return end
  if string.byte(text) == 0x78 and (0x7800 + (string.byte(text, 2) or 0)) % 31 == 0 then return end
  if #text > tonumber(error_bytes) then
    local cut = tonumber(error_bytes)
    -- not within a character of several bytes
    while cut > 0 and string.byte(text, cut + 1) >= 0x80 and string.byte(text, cut + 1) < 0xC0 do cut = cut - 1 end
    text = string.sub(text, 1, cut)
  end
  local known, errors = pcall(cjson.decode, run[4] or '[]')
  -- an object, or anything else that is no list, is somebody else's
  if not known or type(errors) ~= 'table' or #errors == 0 then errors = {} end
  errors[#errors + 1] = { at = run[2] or '', worker = run[3] or '', error = text, run = run[5] or '' }
  while #errors > tonumber(errors_kept) do table.remove(errors, 1) end
  -- what can be read can't always be written: it may be nested too deep for that
  local writable, all_errors = pcall(cjson.encode, errors)
  redis.call('HSET', key, 'errors', writable and all_errors or cjson.encode({ errors[#errors] }))
end
-- a job that waits lives for its ttl
local function live(key)
  local ttl = seconds(redis.call('HGET', key, 'ttl'))
  if ttl and ttl > 0 then redis.pcall('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
local function queue_again(key, id, list, at_front)
  remember_error(key)
  redis.call('HDEL', key, 'result', 'exc_info', 'execution_id', 'started_at', 'ended_at', 'worker_name', 'stop_requested',
    'progress')
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', timestamp())
  redis.call(at_front and 'LPUSH' or 'RPUSH', list, id)
  live(key)
end`;

/**
 * `retry(key, id, list, scheduled)` carries out the plan that a failed job's hash holds, as RQ's `Job.retry` does, and
 * `run_as_asked(key, id, list, scheduled, delay, most)` what its function asked for, as RQ does with a `Retry` that is
 * returned. `run_repeated(key, id, list, scheduled, run)` carries out the repeats of a job whose run finished, as RQ's `Repeat`
 * does: waits are counted from the list's end. All answer `queued`, `scheduled`, or nil where it does not run again. Needs `queueAgain`.
 */
export const retry = `
local function run_again(key, id, list, scheduled, interval, at_front)
  if interval <= 0 then
    queue_again(key, id, list, at_front)
    return 'queued'
  end
  remember_error(key)
  redis.call('HDEL', key, 'result', 'exc_info', 'execution_id', 'stop_requested', 'progress')
  redis.call('HSET', key, 'status', 'scheduled')
  live(key)
  redis.call('ZADD', scheduled, string.format('%d', math.floor(now + interval)), id)
  return 'scheduled'
end
local function run_repeated(key, id, list, scheduled, run)
  local plan = redis.call('HMGET', key, 'repeats_left', 'repeat_intervals')
  local left = seconds(plan[1])
  if not left or left < 1 then return nil end
  local interval = 0
  local read, intervals = pcall(cjson.decode, plan[2] or '[]')
  if read and type(intervals) == 'table' and #intervals > 0 then
    interval = tonumber(intervals[math.min(left, #intervals)]) or 0
  end
  if interval > 0 and type(redis.pcall('ZCARD', scheduled)) == 'table' then return nil end
  redis.call('HSET', key, 'repeats_left', string.format('%d', left - 1), 'repeated_run', run)
  redis.call('HDEL', key, 'exc_info', 'ended_at')
  return run_again(key, id, list, scheduled, interval, false)
end
local function run_as_asked(key, id, list, scheduled, delay, most)
  local asked = redis.call('HMGET', key, 'number_of_retries', 'enqueue_at_front_on_retry')
  local times = tonumber(asked[1] or '') or 0
  if times >= most or delay > 0 and type(redis.pcall('ZCARD', scheduled)) == 'table' then return nil end
  redis.call('HSET', key, 'number_of_retries', string.format('%d', times + 1))
  return run_again(key, id, list, scheduled, delay, asked[2] == '1')
end
local function retry(key, id, list, scheduled)
  local plan = redis.call('HMGET', key, 'retries_left', 'retry_intervals', 'enqueue_at_front_on_retry')
  local left = tonumber(plan[1] or '')
  if not left or left < 1 then return nil end
  local interval = 0
  local read, intervals = pcall(cjson.decode, plan[2] or '[]')
  if read and type(intervals) == 'table' and #intervals > 0 then
    interval = tonumber(intervals[math.max(#intervals - left, 0) + 1]) or 0
  end
  if interval > 0 and type(redis.pcall('ZCARD', scheduled)) == 'table' then return nil end
  redis.call('HSET', key, 'retries_left', string.format('%d', left - 1))
  return run_again(key, id, list, scheduled, interval, plan[3] == '1')
end`;

/**
 * `runs()`: whether a run is the job's present one, and goes on; `tell(more)` publishes a message about it, with fields of JSON more.
 * Needs \`clock\`, the key \`job\` and the arguments \`id\`, \`queue_name\`, \`worker\`, \`run\`, \`status_prefix\`.
 */
export const running = `
local function runs()
  local held = redis.call('HMGET', job, 'status', 'execution_id', 'worker_name')
  return held[1] == 'started' and held[2] == run and held[3] == worker
end
local function tell(more)
  redis.pcall('PUBLISH', status_prefix .. queue_name .. ':' .. id, '{"job_id":' .. cjson.encode(id) ..
    ',"status":"started","queue":"' .. queue_name .. '","worker":"' .. worker .. '","at":"' .. timestamp() .. '",' .. more .. '}')
end`;
