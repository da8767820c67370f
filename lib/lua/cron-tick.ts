/** Queues the job of a cron's tick, and notes when the cron comes next: once, however many workers see the tick. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/**
 * Does nothing unless the cron's tick and its definition are still those that the caller saw. `tick` is the next tick's score
 * as Redis gave it, `next` the one after it, `+inf` for never; `run` is 1 where a job is to be queued, and 0 where the tick
 * was missed and is passed over.
 *
 * Rest: name and value of each setting. Reply: 0 where another one was first, 1 where no job was queued, as none was asked for or
 * one of this id is there, and 2 where it was queued.
 */
export const cronTick: Script<
  'all' | 'job',
  'list' | 'crons' | 'cronTicks' | 'cronLast',
  | 'name'
  | 'definition'
  | 'tick'
  | 'next'
  | 'run'
  | 'id'
  | 'queue_name'
  | 'data'
  | 'description'
  | 'ttl'
  | 'front'
> = new Script({
  name: 'cron_tick',
  keys: ['all', 'job'],
  queueKeys: ['list', 'crons', 'cronTicks', 'cronLast'],
  args: [
    'name',
    'definition',
    'tick',
    'next',
    'run',
    'id',
    'queue_name',
    'data',
    'description',
    'ttl',
    'front',
  ],
  parts: [clock],
  body: `
local q = queue(1)
if redis.call('ZSCORE', q.cronTicks, name) ~= tick or redis.call('HGET', q.crons, name) ~= definition then return 0 end
local reply = 1
if run == '1' and redis.call('EXISTS', job) == 0 then
  -- before the first write, as a script that fails half-way has done its first half
  redis.call('LLEN', q.list)
  redis.call('HGET', q.cronLast, name)
  redis.call('SADD', all, q.list)
  if rest <= #ARGV then redis.call('HSET', job, unpack(ARGV, rest, #ARGV)) end
  redis.call('HSET', job, 'status', 'queued', 'origin', queue_name, 'created_at', timestamp(), 'enqueued_at', timestamp(),
    'data', data, 'description', description)
  if ttl ~= '0' then redis.call('EXPIRE', job, ttl) end
  redis.call(front == '1' and 'LPUSH' or 'RPUSH', q.list, id)
  redis.call('HSET', q.cronLast, name, tick)
  reply = 2
end
redis.call('ZADD', q.cronTicks, next, name)
return reply`,
});
