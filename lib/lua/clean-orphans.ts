/** Deletes jobs that nothing leads to: no list, registry, claim or other job names them, and nobody changed them since a look. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { letGo } from './dependents.ts';

/** The fields that a look at a job reads: joined with `|`, they say whether anybody changed it since. */
export const LOOKED_AT = [
  'status',
  'created_at',
  'enqueued_at',
  'started_at',
  'ended_at',
  'last_heartbeat',
] as const;

/**
 * `dry` is 1 to look only. The queues are those where the jobs may be. Rest: for each job its id, and what the fields of
 * `LOOKED_AT` held. Reply: the ids of those that were deleted, or would be.
 *
 * A hash that expires by itself is left alone. What can't be looked at, as it has another type, counts as an owner.
 */
export const cleanOrphans: Script<
  'releasing',
  | 'list'
  | 'intermediate'
  | 'started'
  | 'finished'
  | 'failed'
  | 'canceled'
  | 'deferred'
  | 'scheduled'
  | 'claimants',
  'claims_infix' | 'dry',
  Constant
> = new Script({
  name: 'clean_orphans',
  keys: ['releasing'],
  queueKeys: [
    'list',
    'intermediate',
    'started',
    'finished',
    'failed',
    'canceled',
    'deferred',
    'scheduled',
    'claimants',
  ],
  constants: [
    'job_prefix',
    'results_prefix',
    'executions_prefix',
    'group_prefix',
    'parked_prefix',
    'worker_prefix',
    'list_prefix',
  ],
  args: ['claims_infix', 'dry'],
  parts: [letGo],
  allowOom: true,
  body: `
local claims = {}
for i = 1, queues do
  local names = redis.pcall('SMEMBERS', queue(i).claimants)
  for _, name in ipairs(names.err and {} or names) do
    claims[#claims + 1] = worker_prefix .. name .. claims_infix .. string.sub(queue(i).list, #list_prefix + 1)
  end
end
-- an error is a table, and so counts as found
local function holds(list, id) return redis.pcall('LPOS', list, id) end
local function ranks(registry, member) return redis.pcall('ZSCORE', registry, member) end
local function has(set, id) return redis.pcall('SISMEMBER', set, id) ~= 0 end
local function owned(id, key)
  local held = redis.call('HMGET', key, 'execution_id', 'limit_key', 'dependency_id', 'dependency_ids')
  for i = 1, queues do
    local q = queue(i)
    for _, registry in ipairs({ q.finished, q.failed, q.canceled, q.deferred, q.scheduled }) do
      if ranks(registry, id) then return true end
    end
    if held[1] and ranks(q.started, id .. ':' .. held[1]) then return true end
    if holds(q.list, id) or holds(q.intermediate, id) then return true end
  end
  -- Python is at work on it
  if redis.call('EXISTS', executions_prefix .. id) == 1 then return true end
  for _, list in ipairs(claims) do
    if holds(list, id) then return true end
  end
  if held[2] and ranks(parked_prefix .. held[2], id) then return true end
  local read, others = pcall(cjson.decode, held[4] or '[]')
  if not read or type(others) ~= 'table' then others = {} end
  others[#others + 1] = held[3] or nil
  for _, other in ipairs(others) do
    other = tostring(other)
    if has(job_prefix .. other .. ':dependents', id) or has(releasing .. ':' .. other, id) then return true end
  end
  return false
end
local found = {}
for n = rest, #ARGV - 1, 2 do
  local id, seen = ARGV[n], ARGV[n + 1]
  local key = job_prefix .. id
  local held = redis.pcall('HMGET', key, ${LOOKED_AT.map(field => `'${field}'`).join(', ')})
  local texts = {}
  for f = 1, ${LOOKED_AT.length} do texts[f] = not held.err and held[f] or '' end
  if not held.err and table.concat(texts, '|') == seen and redis.call('PTTL', key) == -1 and not owned(id, key) then
    found[#found + 1] = id
    if dry == '0' then
      local group = redis.call('HGET', key, 'group_id')
      if group and group ~= '' then redis.pcall('SREM', group_prefix .. group, id) end
      redis.call('DEL', key, results_prefix .. id, job_prefix .. ':' .. id .. ':dependencies')
      let_go(id)
    end
  end
end
return found`,
});
