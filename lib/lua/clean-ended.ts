/** Deletes jobs that have ended, by status and age: those of a page of ids to which both apply. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { letGo } from './dependents.ts';
import { sound } from './parts.ts';

/**
 * `statuses` are joined by commas. `before` is a timestamp in RQ's form, '' for any age: what ended before it goes. `dry` is 1 to
 * look only. Rest: ids. Reply: the status of each job that was deleted, or would be.
 */
export const cleanEnded: Script<
  'releasing',
  'list' | 'finished' | 'failed' | 'canceled',
  'queue_name' | 'statuses' | 'before' | 'dry',
  Constant
> = new Script({
  name: 'clean_ended',
  keys: ['releasing'],
  queueKeys: ['list', 'finished', 'failed', 'canceled'],
  constants: ['job_prefix', 'results_prefix', 'group_prefix'],
  args: ['queue_name', 'statuses', 'before', 'dry'],
  parts: [sound, letGo],
  allowOom: true,
  body: `
local q = queue(1)
sound(q, { 'finished', 'failed', 'canceled' })
local wanted = {}
for status in string.gmatch(statuses, '[^,]+') do wanted[status] = true end
local found = {}
for n = rest, #ARGV do
  local id = ARGV[n]
  local key = job_prefix .. id
  local held = redis.pcall('HMGET', key, 'status', 'origin', 'group_id', 'ended_at', 'enqueued_at', 'created_at')
  if not held.err and wanted[held[1]] and held[2] == queue_name then
    -- Python writes fields that have no value, and leaves out the end of a job that it canceled
    local since
    for f = 4, 6 do
      if not since and held[f] and held[f] ~= '' then since = held[f] end
    end
    if before == '' or (since and since < before) then
      found[#found + 1] = held[1]
      if dry == '0' then
        for _, registry in ipairs({ q.finished, q.failed, q.canceled }) do redis.call('ZREM', registry, id) end
        if held[3] and held[3] ~= '' then redis.pcall('SREM', group_prefix .. held[3], id) end
        redis.call('DEL', key, results_prefix .. id, job_prefix .. ':' .. id .. ':dependencies')
        let_go(id)
      end
    end
  end
end
return found`,
});
