/** Removes waiting jobs from the left of a queue, and those of it that wait aside, a bounded number a call. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { letGo } from './dependents.ts';

/** Reply: `[ids taken off, jobs deleted]`. A job that is not waiting any more keeps its hash. */
export const empty: Script<'releasing' | 'parked', 'list' | 'parked', 'most', Constant> = new Script({
  name: 'empty',
  keys: ['releasing', 'parked'],
  queueKeys: ['list', 'parked'],
  constants: ['job_prefix', 'group_prefix', 'parked_prefix'],
  args: ['most'],
  parts: [letGo],
  allowOom: true,
  body: `
local q = queue(1)
local deleted = 0
local function delete(id)
  local key = job_prefix .. id
  local held = redis.pcall('HMGET', key, 'status', 'group_id', 'limit_key')
  if held.err or held[1] ~= 'queued' then return end
  deleted = deleted + redis.call('DEL', key)
  redis.call('DEL', job_prefix .. ':' .. id .. ':dependencies')
  let_go(id)
  if held[2] and held[2] ~= '' then redis.pcall('SREM', group_prefix .. held[2], id) end
  if not held[3] or redis.pcall('ZREM', parked_prefix .. held[3], id) ~= 1 then return end
  if redis.call('EXISTS', parked_prefix .. held[3]) == 0 then redis.pcall('ZREM', parked, held[3]) end
end
local ids = redis.call('LPOP', q.list, tonumber(most)) or {}
for _, id in ipairs(ids) do delete(id) end
local left = tonumber(most) - #ids
local aside = left > 0 and redis.pcall('ZRANGE', q.parked, 0, left - 1) or {}
if aside.err then aside = {} end
for _, id in ipairs(aside) do
  delete(id)
  redis.call('ZREM', q.parked, id)
end
return { #ids + #aside, deleted }`,
});
