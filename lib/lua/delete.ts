/** Removes a job and all that is kept about it, whatever it is doing; a run of it is fenced off. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { letGo } from './dependents.ts';
import { SLOT_CONSTANTS, slots } from './slots.ts';
import { sound } from './parts.ts';

/**
 * Reply: `[was, worker, execution id]`, `was` being the status before, `gone`, or `elsewhere` (then `worker` is the queue
 * the job is on).
 */
export const deleteJob: Script<
  'job' | 'results' | 'dependencies' | 'releasing' | 'all' | 'parked',
  'list' | 'started' | 'finished' | 'failed' | 'canceled' | 'deferred' | 'scheduled',
  'id' | 'queue_name' | 'only_ended',
  Constant
> = new Script({
  name: 'delete',
  keys: ['job', 'results', 'dependencies', 'releasing', 'all', 'parked'],
  queueKeys: ['list', 'started', 'finished', 'failed', 'canceled', 'deferred', 'scheduled'],
  constants: ['job_prefix', 'group_prefix', ...SLOT_CONSTANTS],
  args: ['id', 'queue_name', 'only_ended'],
  parts: [sound, letGo, slots],
  allowOom: true,
  body: `
local ended = { finished = true, failed = true, stopped = true, canceled = true }
local q = queue(1)
local held = redis.call('HMGET', job, 'status', 'origin', 'worker_name', 'execution_id', 'group_id', 'limit_key')
if held[2] and held[2] ~= queue_name then return { 'elsewhere', held[2] } end
if only_ended == '1' and not ended[held[1]] then return { held[1] or '' } end
sound(q, { 'started', 'finished', 'failed', 'canceled', 'deferred', 'scheduled' })
redis.call('LREM', q.list, 0, id)
for _, registry in ipairs({ q.finished, q.failed, q.canceled, q.deferred, q.scheduled }) do
  redis.call('ZREM', registry, id)
end
if held[4] then redis.call('ZREM', q.started, id .. ':' .. held[4]) end
if held[5] and held[5] ~= '' then redis.pcall('SREM', group_prefix .. held[5], id) end
local was = held[1]
if redis.call('DEL', job) == 0 then was = 'gone' end
redis.call('DEL', results, dependencies)
if held[6] and not ended[held[1]] then leave(held[6], id, held[4] or '', queue_name) end
let_go(id)
return { was or '', held[3] or '', held[4] or '' }`,
});
