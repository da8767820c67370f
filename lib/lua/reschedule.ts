/** Changes when a scheduled job is due. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/**
 * `due` is unix seconds, or `+` and seconds from now. Reply: `[was, queue]`: the status before, `gone`, or `elsewhere` and
 * the queue the job is on. Only a job that was scheduled is changed.
 */
export const reschedule: Script<'job', 'scheduled', 'id' | 'queue_name' | 'due'> = new Script({
  name: 'reschedule',
  keys: ['job'],
  queueKeys: ['scheduled'],
  args: ['id', 'queue_name', 'due'],
  parts: [clock],
  allowOom: true,
  body: `
local held = redis.call('HMGET', job, 'status', 'origin')
if not held[1] then return { 'gone' } end
if held[2] and held[2] ~= queue_name then return { 'elsewhere', held[2] } end
if held[1] ~= 'scheduled' then return { held[1] } end
local delay = string.match(due, '^%+(.*)$')
redis.call('ZADD', queue(1).scheduled, string.format('%.3f', delay and now + tonumber(delay) or tonumber(due)), id)
return { held[1] }`,
});
