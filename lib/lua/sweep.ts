/** The janitor's round on one queue: what dead workers held goes back, what has expired is forgotten. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { fill, release } from './dependents.ts';
import { lookAtSlots, SLOT_CONSTANTS, slots } from './slots.ts';
import { announce, clock, keep, queueAgain, retry, seconds, sound } from './parts.ts';

/**
 * `lock_ms` is 0 where the caller goes on with a round it has begun. `offset` is a random number of 0 to below 1: where
 * in the registries of canceled and of deferred jobs to look.
 *
 * A run of ours is past its lease when its score less `margin` is; a run of Python's when its score is, and then RQ's
 * rule holds: it is retried if any retry is left, and failed else. At most `most` members are looked at.
 *
 * A deferred job whose dependencies are met, or gone without a word (expired, deleted by somebody else), is queued.
 *
 * A key that jobs wait for a slot of is looked at once in `look_again` seconds, whichever queue the round is on.
 *
 * The claims of a worker go back once its hash has less than `silent_ms` left to live.
 *
 * Reply: `[1 when the round is this caller's, 1 when there is more to do, recovered, abandoned, claims returned]`,
 * of which `recovered` and `abandoned` are lists of ids.
 */
export const sweep: Script<
  'all' | 'workers' | 'releasing' | 'parked' | 'groups',
  | 'list'
  | 'intermediate'
  | 'started'
  | 'finished'
  | 'failed'
  | 'canceled'
  | 'deferred'
  | 'scheduled'
  | 'parked'
  | 'claimants'
  | 'janitor'
  | 'taken'
  | 'samples'
  | 'workers',
  | 'claims_suffix'
  | 'queue_name'
  | 'sweeper'
  | 'lock_ms'
  | 'margin'
  | 'silent_ms'
  | 'max_recoveries'
  | 'most'
  | 'offset'
  | 'patience'
  | 'look_again',
  Constant
> = new Script({
  name: 'sweep',
  keys: ['all', 'workers', 'releasing', 'parked', 'groups'],
  queueKeys: [
    'list',
    'intermediate',
    'started',
    'finished',
    'failed',
    'canceled',
    'deferred',
    'scheduled',
    'parked',
    'claimants',
    'janitor',
    'taken',
    'samples',
    'workers',
  ],
  constants: [
    'job_prefix',
    'results_prefix',
    'status_prefix',
    'deferred_prefix',
    'worker_prefix',
    'executions_prefix',
    'failure_ttl',
    'errors_kept',
    'error_bytes',
    'release_most',
    'group_prefix',
    'started_prefix',
    ...SLOT_CONSTANTS,
  ],
  args: [
    'claims_suffix',
    'queue_name',
    'sweeper',
    'lock_ms',
    'margin',
    'silent_ms',
    'max_recoveries',
    'most',
    'offset',
    'patience',
    'look_again',
  ],
  parts: [
    clock,
    announce,
    keep,
    seconds,
    queueAgain,
    retry,
    fill,
    'local release_left = tonumber(release_most)',
    release,
    slots,
    lookAtSlots,
    sound,
  ],
  allowOom: true,
  body: `
local q = queue(1)
if lock_ms ~= '0' and not redis.call('SET', q.janitor, sweeper, 'NX', 'PX', lock_ms) then return { 0, 0, {}, {}, 0 } end
sound(q, { 'started', 'finished', 'failed', 'canceled', 'deferred' })

-- how many jobs wait, and were taken so far: two such samples give the jobs that came and went between them
if lock_ms ~= '0' then
  local taken = redis.pcall('GET', q.taken)
  redis.pcall('LPUSH', q.samples, string.format('%.3f', now) .. ' ' .. redis.call('LLEN', q.list) .. ' ' ..
    (type(taken) == 'string' and taken or '0'))
  redis.pcall('LTRIM', q.samples, 0, 15)
  redis.pcall('EXPIRE', q.samples, 120)
end
local limit = tonumber(most)
local function text_of(score) return string.format('%.6f', score) end
-- from 0 up: RQ's score of what failed and is kept for ever is -1
redis.call('ZREMRANGEBYSCORE', q.finished, 0, text_of(now))
redis.call('ZREMRANGEBYSCORE', q.failed, 0, text_of(now))

-- ---- runs whose worker was not heard of for a lease
local recovered, abandoned = {}, {}
local function give_up(key, id, status, reason, ttl, worker)
  if ttl == 0 then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'status', status, 'ended_at', timestamp(), 'exc_info', reason)
    redis.call('ZADD', q.failed, expiry(ttl), id)
    keep(key, ttl)
  end
  announce(queue_name, id, status, worker)
  release(id, status, ttl)
end
local function abandon(key, id, reason, ttl, worker)
  give_up(key, id, 'failed', 'AbandonedJobError: ' .. reason, ttl, worker)
  abandoned[#abandoned + 1] = id
end
-- the workers that lost the job's earlier runs, as far as the errors of these are kept
local function losers(key, last)
  local known, errors = pcall(cjson.decode, redis.call('HGET', key, 'errors') or '[]')
  local workers = {}
  for _, entry in ipairs(known and type(errors) == 'table' and errors or {}) do
    if type(entry) == 'table' and string.sub(tostring(entry.error), 1, 18) == 'AbandonedJobError:' then
      workers[#workers + 1] = tostring(entry.worker)
    end
  end
  workers[#workers + 1] = last
  return table.concat(workers, ', ')
end
local function python_runs(id)
  local runs = redis.pcall('ZRANGE', executions_prefix .. id, 0, -1)
  for _, run in ipairs(runs.err and {} or runs) do
    if redis.call('ZSCORE', q.started, id .. ':' .. run) then return true end
  end
  return false
end
local function recover(member)
  -- found from the right: a job id holds no colon, but a foreign member may
  local id, run = string.match(member, '^(.*):([^:]*)$')
  if not id then redis.call('ZREM', q.started, member) return end
  local ours = string.sub(run, 1, 1) == 'n'
  redis.call('ZREM', q.started, member)
  local key = job_prefix .. id
  local held = redis.pcall('HMGET', key, 'status', 'execution_id', 'recoveries', 'failure_ttl', 'worker_name',
    'redeliver', 'stop_requested', 'limit_key')
  if held.err then return end
  if ours then
    if held[1] ~= 'started' or held[2] ~= run then return end
    -- RQ's claim leaves our execution id in place: where a run of Python's is registered, the job is that one's
    if python_runs(id) then return end
    if held[8] then free_slot(held[8], id, run) end
  else
    -- a Python worker may die before its job's status says started: then the id is still on its way
    -- RQ's cancel leaves a member behind: where the job runs with us now, only that is removed
    if held[2] and string.sub(held[2], 1, 1) == 'n' and redis.call('ZSCORE', q.started, id .. ':' .. held[2]) then return end
    local stuck = held[1] == 'queued' and redis.pcall('LREM', q.intermediate, 0, id)
    if held[1] ~= 'started' and not (type(stuck) == 'number' and stuck > 0) then return end
    redis.call('DEL', executions_prefix .. id)
  end
  local ttl = seconds(held[4]) or tonumber(failure_ttl)
  if not ours then
    local again = retry(key, id, q.list, q.scheduled)
    if again then
      announce(queue_name, id, again)
      recovered[#recovered + 1] = id
      return
    end
    return abandon(key, id, 'the run was not heard of for longer than its lifetime', ttl, held[5])
  end
  local worker = held[5] or 'an unknown worker'
  if held[7] == run then
    return give_up(key, id, 'stopped', 'StopRequestedError: Job ' .. id .. ' was asked to stop; its worker, ' .. worker ..
      ', was lost meanwhile', ttl, held[5])
  end
  local lost = 'worker ' .. worker .. ' died, or was away for longer than its lease'
  if held[6] == '0' then return abandon(key, id, lost .. '; redeliver: false', ttl, held[5]) end
  local recoveries = math.max(seconds(held[3]) or 0, 0) + 1
  redis.call('HSET', key, 'recoveries', recoveries)
  if recoveries > tonumber(max_recoveries) then
    return abandon(key, id, 'the job was lost ' .. recoveries .. (recoveries == 1 and ' time' or ' times') .. ' (at most ' ..
      max_recoveries .. ' are made good) by workers that died or were away for longer than their lease: ' ..
      losers(key, worker), ttl, held[5])
  end
  redis.call('HSET', key, 'ended_at', timestamp(), 'exc_info', 'AbandonedJobError: ' .. lost)
  queue_again(key, id, q.list, true)
  announce(queue_name, id, 'queued')
  recovered[#recovered + 1] = id
end
-- among them stand Python's runs that are not past theirs: so a page may hold nothing to do
local due, offset_in_due = {}, 0
while #due < limit and offset_in_due < 20 * limit do
  local page = redis.call('ZRANGEBYSCORE', q.started, '-inf', text_of(now + tonumber(margin)), 'WITHSCORES',
    'LIMIT', offset_in_due, limit)
  for n = 1, #page, 2 do
    local score = tonumber(page[n + 1])
    local run = string.match(page[n], ':([^:]*)$')
    if not run or string.sub(run, 1, 1) == 'n' or score <= now then due[#due + 1] = page[n] end
  end
  offset_in_due = offset_in_due + limit
  if #page < limit * 2 then break end
end
for n = #due, 1, -1 do recover(due[n]) end

-- ---- claims of workers that are gone
local returned = 0
local claimants = redis.pcall('SMEMBERS', q.claimants)
for _, name in ipairs(claimants.err and {} or claimants) do
  local worker = worker_prefix .. name
  -- a worker that has signed off has a hash for a minute more
  local gone = redis.call('EXISTS', worker) == 0 or redis.call('HEXISTS', worker, 'death') == 1
  -- not heard of for a lease: what it has claimed goes back, and it may still come to claim more
  local silent = gone or redis.call('PTTL', worker) < tonumber(silent_ms)
  while silent and returned < limit do
    local moved = redis.pcall('LMOVE', worker .. claims_suffix, q.list, 'RIGHT', 'LEFT')
    if not moved or type(moved) == 'table' then
      if gone then
        redis.call('SREM', q.claimants, name)
        -- RQ's maintenance does so too, where a Python worker listens
        redis.pcall('SREM', q.workers, worker)
        redis.pcall('SREM', workers, worker)
      end
      break
    end
    returned = returned + 1
  end
end

-- ---- canceled jobs whose hash has expired
local canceled = redis.call('ZCARD', q.canceled)
if canceled > 0 then
  local first = math.max(0, math.min(math.floor(canceled * tonumber(offset)), canceled - limit))
  for _, id in ipairs(redis.call('ZRANGE', q.canceled, first, first + limit - 1)) do
    if redis.call('EXISTS', job_prefix .. id) == 0 then redis.call('ZREM', q.canceled, id) end
  end
end
-- ---- jobs that wait for others, where nobody said that these are over
local deferred, settled = redis.call('ZCARD', q.deferred), 0
if deferred > 0 then
  local first = math.max(0, math.min(math.floor(deferred * tonumber(offset)), deferred - limit))
  local page = redis.call('ZRANGE', q.deferred, first, first + limit - 1, 'WITHSCORES')
  for n = 1, #page, 2 do
    local id = page[n]
    local status = redis.pcall('HGET', job_prefix .. id, 'status')
    if status == 'deferred' then settled = settled + (settle(id) and 1 or 0)
    -- expired, or canceled by RQ; not sooner, as somebody may be about to write it
    elseif tonumber(page[n + 1]) < now - tonumber(patience) then redis.call('ZREM', q.deferred, id) end
  end
end
-- ---- groups: ids of jobs that have expired
local group = redis.pcall('SRANDMEMBER', groups)
if type(group) == 'string' then
  local members = redis.pcall('SRANDMEMBER', group_prefix .. group, limit)
  for _, id in ipairs(members.err and {} or members) do
    if redis.call('EXISTS', job_prefix .. id) == 0 then redis.call('SREM', group_prefix .. group, id) end
  end
  if redis.call('EXISTS', group_prefix .. group) == 0 then redis.call('SREM', groups, group) end
end

-- ---- keys whose slots became free without a word, or whose turn was lost with a job; each once a round, whoever looks
local keys_due = redis.pcall('ZRANGEBYSCORE', parked, '-inf', text_of(now - tonumber(look_again)), 'LIMIT', 0, limit)
if keys_due.err then keys_due = {} end
for _, key in ipairs(keys_due) do
  redis.call('ZADD', parked, 'XX', text_of(now), key)
  look_at_slots(key, limit)
end
-- ---- jobs that waited for a slot until they expired, or were canceled by RQ
local aside = redis.pcall('ZCARD', q.parked)
if type(aside) == 'number' and aside > 0 then
  local first = math.max(0, math.min(math.floor(aside * tonumber(offset)), aside - limit))
  for _, id in ipairs(redis.call('ZRANGE', q.parked, first, first + limit - 1)) do
    if redis.pcall('HGET', job_prefix .. id, 'status') ~= 'queued' then redis.call('ZREM', q.parked, id) end
  end
end
publish_all()
-- of those that waited for the same job, no other is told: so where one was found, there may be more of them
local more = #due >= limit or returned >= limit or #keys_due >= limit or settled > 0
return { 1, more and 1 or 0, recovered, abandoned, returned }`,
});
