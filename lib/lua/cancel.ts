/** Takes a job that has not ended out of its queue for good, or fences off its run. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { letGo } from './dependents.ts';
import { SLOT_CONSTANTS, slots } from './slots.ts';
import { announce, clock, keep, seconds, sound } from './parts.ts';

/**
 * `release` is 1 where what waits for the job is to wait no longer.
 *
 * Reply: `[was, worker, execution id]`, `was` being the status before, `gone`, or `elsewhere` (then `worker` is the queue
 * the job is on). Only a job that was queued, started, deferred or scheduled is changed.
 */
export const cancel: Script<
  'job' | 'dependencies' | 'releasing' | 'all' | 'parked',
  'list' | 'started' | 'deferred' | 'scheduled' | 'canceled',
  'id' | 'queue_name' | 'release',
  Constant
> = new Script({
  name: 'cancel',
  keys: ['job', 'dependencies', 'releasing', 'all', 'parked'],
  queueKeys: ['list', 'started', 'deferred', 'scheduled', 'canceled'],
  constants: ['job_prefix', 'status_prefix', 'failure_ttl', ...SLOT_CONSTANTS],
  args: ['id', 'queue_name', 'release'],
  parts: [clock, announce, seconds, keep, sound, letGo, slots],
  allowOom: true,
  body: `
local q = queue(1)
local held = redis.call('HMGET', job, 'status', 'origin', 'worker_name', 'execution_id', 'failure_ttl', 'limit_key')
if not held[1] then return { 'gone' } end
if held[2] and held[2] ~= queue_name then return { 'elsewhere', held[2] } end
local was = held[1]
if was ~= 'queued' and was ~= 'started' and was ~= 'deferred' and was ~= 'scheduled' then return { was } end
sound(q, { 'started', 'deferred', 'scheduled', 'canceled' })
redis.call('LREM', q.list, 0, id)
redis.call('ZREM', q.deferred, id)
redis.call('DEL', dependencies)
redis.call('ZREM', q.scheduled, id)
if held[4] then redis.call('ZREM', q.started, id .. ':' .. held[4]) end
local ttl = seconds(held[5]) or tonumber(failure_ttl)
if ttl == 0 then
  redis.call('DEL', job)
else
  redis.call('ZADD', q.canceled, now, id)
  redis.call('HSET', job, 'status', 'canceled')
  redis.call('HDEL', job, 'execution_id')
  keep(job, ttl)
end
if held[6] then leave(held[6], id, held[4] or '', queue_name) end
if release == '1' then let_go(id)
-- who waits for it finds it gone then
elseif ttl == 0 then redis.call('UNLINK', job .. ':dependents')
else keep(job .. ':dependents', ttl) end
announce(queue_name, id, 'canceled', held[3])
publish_all()
return { was, held[3] or '', held[4] or '' }`,
});
