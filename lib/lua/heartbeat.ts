/** Registers a worker and keeps it registered: the same call is its birth, its heartbeat and its return. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/**
 * Rest: name and value of each field that is written when the hash is new. `job` is the job that runs, '' for none.
 * `mark` tells this process from another one of the same name. Reply: 1 where the worker was registered anew, 0 where it
 * was, -1 where a living worker has the name.
 */
export const heartbeat: Script<
  'worker' | 'workers',
  'workers' | 'claimants',
  'name' | 'mark' | 'ttl' | 'state' | 'job' | 'finished' | 'failed' | 'seconds'
> = new Script({
  name: 'heartbeat',
  keys: ['worker', 'workers'],
  queueKeys: ['workers', 'claimants'],
  args: ['name', 'mark', 'ttl', 'state', 'job', 'finished', 'failed', 'seconds'],
  parts: [clock],
  allowOom: true,
  body: `
local held = redis.call('HMGET', worker, 'birth', 'mark', 'death')
if held[1] and held[2] ~= mark and not held[3] then return -1 end
-- each time: a set may have been lost, or was of another type. First: without it, what this worker holds is not looked for
for i = 1, queues do
  local listed = redis.pcall('SADD', queue(i).claimants, name)
  if type(listed) == 'table' and not string.find(listed.err, 'WRONGTYPE', 1, true) then return listed end
  redis.pcall('SADD', queue(i).workers, worker)
end
redis.pcall('SADD', workers, worker)
local anew = not held[1] or held[2] ~= mark
if anew then
  redis.call('DEL', worker)
  redis.call('HSET', worker, 'birth', timestamp(), 'mark', mark, unpack(ARGV, rest, #ARGV))
end
redis.call('HSET', worker, 'last_heartbeat', timestamp(), 'state', state)
-- never left stale: Python raises on a job that is gone
if job == '' then redis.call('HDEL', worker, 'current_job') else redis.call('HSET', worker, 'current_job', job) end
if finished ~= '0' then redis.call('HINCRBY', worker, 'successful_job_count', finished) end
if failed ~= '0' then redis.call('HINCRBY', worker, 'failed_job_count', failed) end
if seconds ~= '0' then redis.call('HINCRBYFLOAT', worker, 'total_working_time', seconds) end
redis.call('EXPIRE', worker, ttl)
return anew and 1 or 0`,
});
