/** Reads how jobs stand, and what came of those that ended: by us in the hash, by Python in the result stream. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';

/**
 * Rest: ids. Reply, for each: `[status, queue, result, error, stream entry, root, its status]`, with false for what there
 * is not: either the entry, `[field, value, …]`, or the hash says what came of the job. `root` is the job that keeps one from
 * running: it did not finish, and the job waits for it, be it through others. Where these are more than one call looks at, it is
 * one of them that is `deferred` itself: what keeps that one keeps the job. A job that was canceled so that nobody waits for it any
 * more keeps none, though a worker has not let them go yet.
 */
export const readState: Script<'releasing', never, never, Constant> = new Script({
  name: 'read_state',
  keys: ['releasing'],
  constants: ['job_prefix', 'results_prefix'],
  readsOnly: true,
  body: `
local function blocks(id, status, allows)
  if status ~= 'stopped' and status ~= 'canceled' and (status ~= 'failed' or allows) then return false end
  local letting_go = redis.pcall('HGET', releasing, id)
  return type(letting_go) ~= 'string' or string.sub(letting_go, 1, 5) ~= 'gone:'
end
-- what is known of a job holds for all that wait for it: however many are asked for, who is above them is looked at once
local known, looks = {}, 1000
local function root_of(id)
  if known[id] then return unpack(known[id]) end
  local below, left = { [id] = false }, { id }
  local function found(each, root)
    while each do
      known[each] = root
      each = below[each]
    end
    return unpack(root)
  end
  -- a few for each id, also where others took all
  local enough = math.min(0, looks - 10)
  while #left > 0 and looks > enough do
    local each = table.remove(left)
    local allows = redis.pcall('HGET', job_prefix .. each, 'allow_dependency_failures') == '1'
    local others = redis.pcall('SRANDMEMBER', job_prefix .. ':' .. each .. ':dependencies', looks - enough)
    for _, other in ipairs(others.err and {} or others) do
      local status = redis.pcall('HGET', job_prefix .. other, 'status')
      if blocks(other, status, allows) then return found(each, { other, status }) end
      looks = looks - 1
      if status == 'deferred' then
        local above = known[other]
        if above and above[1] then return found(each, above) end
        if not above and below[other] == nil then
          below[other] = each
          left[#left + 1] = other
        end
      end
    end
  end
  local on = left[#left]
  if on then return found(on, { on, 'deferred' }) end
  for each in pairs(below) do known[each] = { false, false } end
  return false, false
end
local states = {}
for i = rest, #ARGV do
  local id = ARGV[i]
  local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'origin')
  -- a missing right is not the job's fault
  if held.err and not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
  local state = { false, false, false, false, false, false, false }
  if not held.err and held[1] then
    local status = held[1]
    state[1], state[2] = status, held[2]
    if status == 'deferred' then state[6], state[7] = root_of(id) end
    if status == 'finished' or status == 'failed' then
      -- where Python had a hand in the job, the stream is right, and the hash may hold what an earlier run left
      local entries = redis.pcall('XREVRANGE', results_prefix .. id, '+', '-', 'COUNT', 1)
      if entries.err and not string.find(entries.err, 'WRONGTYPE', 1, true) then return entries end
      local entry = not entries.err and entries[1] and entries[1][2]
      for n = 1, entry and #entry or 0, 2 do
        if entry[n] == 'type' and entry[n + 1] == (status == 'finished' and '1' or '2') then state[5] = entry end
      end
      if not state[5] and status == 'finished' then state[3] = redis.call('HGET', job_prefix .. id, 'result') end
      if not state[5] and status == 'failed' then state[4] = redis.call('HGET', job_prefix .. id, 'exc_info') end
    end
  end
  states[#states + 1] = state
end
return states`,
});
