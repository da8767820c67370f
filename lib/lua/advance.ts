/** The worker's one busy call: hands in the outcomes of runs that ended, and takes as many jobs as slots are free. */
import { Script } from '../script.ts';
import { announce, clock, keep, queueAgain, queueNames, release, retry, seconds } from './parts.ts';

/**
 * Arguments: `run_prefix` is what this call's execution ids begin with (30 characters; `runSuffix` follows), `lease` the
 * seconds to the score of a run, `want` the number of jobs to take, `order` one of `default`, `round_robin`, `random`,
 * `turn` the queue whose turn it is (from 1) or the seed of a random order, `claims` a 0 or 1 for each queue: whether
 * this worker has claims there.
 *
 * Rest: outcomes in groups that are alike. A group is the number of its outcomes, queue (from 1), status, seconds to keep
 * them (-1 for ever, 0 not at all), 1 where the result goes with the status message, 1 where there is a payload for the
 * result stream, what follows a failure (`plan`, `never`, or `<seconds>/<most>` as the function asked); then, for each outcome, job id, execution id, result or error text, and where there is a payload that and the
 * seconds that the run took.
 *
 * Reply: `[answers, jobs, dropped, more, turn, unusable, timestamp, alone]`. An answer is 1 for accepted (also when handed in before), 2 and 3
 * for a failure that was accepted and after which the job is queued, or scheduled, again, 0 for refused, -1 where a key of the queue has the wrong type. The jobs are one MessagePack array, of queue, id
 * and `[field, value, …]` of each in turn, the fields as they were before the run: as so many small strings of their own
 * they would cost both sides more than all the rest. A dropped id is `[queue, id, reason]`. `more` is 0 when the queues were found empty, 1 when not, 2 when work is suspended. `unusable` are
 * queues with a key of the wrong type, which nothing was taken from. `alone` is 1 where the one job taken is on probation: it
 * was lost `probation` times or more, and nothing should be started beside it for a while; 2 where such a one is next: it is
 * given to a call that says by `single` that no other is under way.
 *
 * A script that fails half-way has done its first half: so the keys of a queue are looked at before the first write,
 * and each job's hash is touched through `pcall`.
 */
export const advance: Script<
  'suspended' | 'all',
  'list' | 'started' | 'finished' | 'failed' | 'scheduled' | 'claims',
  | 'job_prefix'
  | 'results_prefix'
  | 'list_prefix'
  | 'deferred_prefix'
  | 'group_prefix'
  | 'errors_kept'
  | 'error_bytes'
  | 'status_prefix'
  | 'queue_names'
  | 'worker'
  | 'run_prefix'
  | 'lease'
  | 'want'
  | 'order'
  | 'turn'
  | 'claims'
  | 'probation'
  | 'single'
  | 'few_channels'
> = new Script({
  name: 'advance',
  keys: ['suspended', 'all'],
  queueKeys: ['list', 'started', 'finished', 'failed', 'scheduled', 'claims'],
  args: [
    'job_prefix',
    'results_prefix',
    'list_prefix',
    'deferred_prefix',
    'group_prefix',
    'errors_kept',
    'error_bytes',
    'status_prefix',
    'queue_names',
    'worker',
    'run_prefix',
    'lease',
    'want',
    'order',
    'turn',
    'claims',
    'probation',
    'single',
    'few_channels',
  ],
  parts: [queueNames, clock, keep],
  allowOom: true,
  body: `
-- one look at all channels, where they are few, spares two for each job when nobody listens
local somebody
local function heard()
  if somebody == nil then
    somebody = few_channels == '0' or redis.call('PUBSUB', 'NUMPAT') > 0 or
      #redis.call('PUBSUB', 'CHANNELS', status_prefix .. '*') > 0
  end
  return somebody
end
-- parts that few calls need are made when they are: making a function costs as much as a look at a key
local messages
local function announce(queue_name, id, status, worker, result)
  if not heard() then return end
  if not messages then
    ${announce}
    messages = { add = announce, send = publish_all }
  end
  messages.add(queue_name, id, status, worker, result)
end
local follow_ups
local function following()
  if not follow_ups then
    ${seconds}
    ${queueAgain}
    ${retry}
    ${release}
    follow_ups = { retry = retry, run_as_asked = run_as_asked, release = release }
  end
  return follow_ups
end

local queue_ok, unusable = {}, {}
local function usable(i)
  local known = queue_ok[i]
  if known ~= nil then return known end
  local q = queue(i)
  known = true
  for _, key in ipairs({ q.started, q.finished, q.failed }) do
    if type(redis.pcall('ZCARD', key)) == 'table' then known = false end
  end
  if type(redis.pcall('LLEN', q.list)) == 'table' then known = false end
  queue_ok[i] = known
  if not known then unusable[#unusable + 1] = i end
  return known
end

-- ---- outcomes
local answers, ended, registered = {}, {}, {}
local over, over_dependents = {}, {}
local stream_type = { finished = '1', failed = '2', stopped = '3' }

local function finish(i, id, run, status, ttl, text, stream, seconds, announced_text, follows)
  local key = job_prefix .. id
  -- the worker as well: Python's claim leaves our execution id in place
  local fence = redis.pcall('HMGET', key, 'status', 'execution_id', 'worker_name')
  if fence.err then return 0 end
  if fence[2] ~= run or fence[3] ~= worker then
    -- a failure after which the job was retried left its mark among the errors
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
  over[#over + 1] = { id, status, ttl }
  over_dependents[#over] = job_prefix .. id .. ':dependents'
  if ttl == 0 then
    local group = redis.call('HGET', key, 'group_id')
    if group and group ~= '' then redis.pcall('SREM', group_prefix .. group, id) end
    redis.call('DEL', key, results_prefix .. id)
  else
    redis.call('HSET', key, 'status', status, 'ended_at', timestamp(), field, text)
    if ttl > 0 then redis.pcall('EXPIRE', key, ttl) end
    if stream then
      local results = results_prefix .. id
      redis.pcall('XADD', results, 'MAXLEN', '10', '*', 'type', stream_type[status], 'worker_name', worker,
        status == 'finished' and 'return_value' or 'exc_string', stream,
        'execution_id', run, 'execution_started_at', string.format('%.6f', now - tonumber(seconds)),
        'execution_ended_at', string.format('%.6f', now))
      keep(results, ttl)
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
  local published, streamed, follows = ARGV[at + 4] == '1', ARGV[at + 5] == '1', ARGV[at + 6]
  local width = streamed and 5 or 3
  at = at + 7
  for n = 1, count do
    if usable(i) then
      local text = ARGV[at + 2]
      answers[#answers + 1] = finish(i, ARGV[at], ARGV[at + 1], status, ttl, text, streamed and ARGV[at + 3],
        streamed and ARGV[at + 4], published and text, follows)
    else
      answers[#answers + 1] = -1
    end
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

-- asked for all at once, as hardly any job has dependents
for first = 1, #over, 2000 do
  local last = math.min(first + 1999, #over)
  if redis.call('EXISTS', unpack(over_dependents, first, last)) > 0 then
    for n = first, last do following().release(over[n][1], over[n][2], over[n][3]) end
  end
end

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
end
if messages then messages.send() end
return { answers, cmsgpack.pack(jobs), dropped, more, next_turn, unusable, taken > 0 and timestamp() or '', alone }`,
});

/** What a call's n-th run, from 0, has after its `run_prefix`: two letters. */
export function runSuffix(n: number): string {
  return String.fromCharCode(97 + Math.floor(n / 26), 97 + (n % 26));
}
