/** Puts a job that has ended, well or not, back on its queue. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { announce, clock, queueAgain, seconds, sound } from './parts.ts';

/**
 * Reply: `[was, queue]`: the status before, `gone`, or `elsewhere` and the queue the job is on. Only a job that was
 * finished, failed, stopped or canceled is changed.
 */
export const requeue: Script<
  'job' | 'all',
  'list' | 'finished' | 'failed' | 'canceled',
  'id' | 'queue_name' | 'front',
  Constant
> = new Script({
  name: 'requeue',
  keys: ['job', 'all'],
  queueKeys: ['list', 'finished', 'failed', 'canceled'],
  constants: ['status_prefix', 'unique_prefix', 'unique_ttl', 'errors_kept', 'error_bytes'],
  args: ['id', 'queue_name', 'front'],
  parts: [clock, announce, seconds, queueAgain, sound],
  body: `
local q = queue(1)
local held = redis.call('HMGET', job, 'status', 'origin', 'unique')
if not held[1] then return { 'gone' } end
if held[2] and held[2] ~= queue_name then return { 'elsewhere', held[2] } end
local was = held[1]
if was ~= 'finished' and was ~= 'failed' and was ~= 'stopped' and was ~= 'canceled' then return { was } end
sound(q, { 'finished', 'failed', 'canceled' })
redis.call('ZREM', q.finished, id)
redis.call('ZREM', q.failed, id)
redis.call('ZREM', q.canceled, id)
redis.pcall('SADD', all, q.list)
redis.call('HDEL', job, 'recoveries', 'number_of_retries')
-- where no other job of the same call came meanwhile, it stands for it again
if held[3] and redis.pcall('GET', unique_prefix .. queue_name .. ':' .. held[3]) == id then
  redis.call('EXPIRE', unique_prefix .. queue_name .. ':' .. held[3], unique_ttl)
end
queue_again(job, id, q.list, front == '1')
-- who waits for it is told when it ends
redis.call('PERSIST', job .. ':dependents')
announce(queue_name, id, 'queued')
publish_all()
return { was }`,
});
