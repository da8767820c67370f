/** Removes waiting jobs from the left of a queue, a bounded number a call. */
import { Script } from '../script.ts';
import { letGo } from './dependents.ts';

/** Reply: `[ids taken off the list, jobs deleted]`. A job that is not waiting any more keeps its hash. */
export const empty: Script<'releasing', 'list', 'job_prefix' | 'group_prefix' | 'most'> = new Script({
  name: 'empty',
  keys: ['releasing'],
  queueKeys: ['list'],
  args: ['job_prefix', 'group_prefix', 'most'],
  parts: [letGo],
  allowOom: true,
  body: `
local ids = redis.call('LPOP', queue(1).list, tonumber(most)) or {}
local deleted = 0
for _, id in ipairs(ids) do
  local key = job_prefix .. id
  local held = redis.pcall('HMGET', key, 'status', 'group_id')
  if not held.err and held[1] == 'queued' then
    deleted = deleted + redis.call('DEL', key)
    redis.call('DEL', job_prefix .. ':' .. id .. ':dependencies')
    let_go(id)
    if held[2] and held[2] ~= '' then redis.pcall('SREM', group_prefix .. held[2], id) end
  end
end
return { #ids, deleted }`,
});
