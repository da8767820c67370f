/** Lua that several scripts share. Each part is a few local functions, and says which names it needs. */

/** `now`: unix seconds of Redis' own clock, with microseconds. `timestamp()`: the same moment in RQ's form. */
export const clock = `
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local timestamp_text
local function timestamp()
  if timestamp_text then return timestamp_text end
  -- days to a civil date, counting years from the first of March
  local seconds = tonumber(time[1])
  local days = math.floor(seconds / 86400)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local rest_of_day = seconds - days * 86400
  timestamp_text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
    math.floor(rest_of_day / 3600), math.floor(rest_of_day % 3600 / 60), rest_of_day % 60, tonumber(time[2]))
  return timestamp_text
end`;

/**
 * `announce(queue_name, id, status, worker, result)` notes a status message, `publish_all()` sends those that somebody
 * listens for. Needs \`clock\` and the argument \`status_prefix\`. A result is JSON text already. What nobody listens for
 * costs the name of its channel: so it is put together last.
 */
export const announce = `
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
  by_worker[announced], with_result[announced] = worker or '', result or false
end
local function publish_all()
  if announced == 0 then return end
  local to_all = redis.call('PUBSUB', 'NUMPAT') > 0
  for first = 1, announced, 500 do
    local last = math.min(first + 499, announced)
    local counts = redis.call('PUBSUB', 'NUMSUB', unpack(channels, first, last))
    for i = first, last do
      if to_all or tonumber(counts[(i - first) * 2 + 2]) > 0 then
        redis.call('PUBLISH', channels[i], '{"job_id":' .. cjson.encode(about[i]) .. ',"status":"' .. statuses[i] ..
          '","queue":"' .. of_queue[i] .. '","worker":"' .. by_worker[i] .. '","at":"' .. timestamp() ..
          (with_result[i] and '","result":' .. with_result[i] .. '}' or '"}'))
      end
    end
  end
end`;

/** `keep(key, ttl)` gives a hash its lifetime, `expiry(ttl)` is the score that goes with it: seconds, or -1 for ever. */
export const keep = `
local function keep(key, ttl)
  if ttl > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
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
 * `errors`, and its id goes back to the list. Needs \`clock\` and the arguments \`errors_kept\`, \`error_bytes\`.
 */
export const queueAgain = `
local function remember_error(key)
  local run = redis.call('HMGET', key, 'exc_info', 'ended_at', 'worker_name', 'errors')
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
  if not known or type(errors) ~= 'table' then errors = {} end
  errors[#errors + 1] = { at = run[2] or '', worker = run[3] or '', error = text }
  while #errors > tonumber(errors_kept) do table.remove(errors, 1) end
  redis.call('HSET', key, 'errors', cjson.encode(errors))
end
local function queue_again(key, id, list, at_front)
  remember_error(key)
  redis.call('HDEL', key, 'result', 'exc_info', 'execution_id', 'started_at', 'ended_at', 'worker_name')
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', timestamp())
  local ttl = tonumber(redis.call('HGET', key, 'ttl') or '')
  if ttl and ttl > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
  redis.call(at_front and 'LPUSH' or 'RPUSH', list, id)
end`;
