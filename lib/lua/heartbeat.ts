/** Registers a worker and keeps it registered: the same call is its birth, its heartbeat and its return. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/**
 * Rest: name and value of each field that is written when the hash is new. `job` is the job that runs, '' for none.
 * Reply: 1 where the worker was registered anew, else 0.
 */
export const heartbeat: Script<
  'worker' | 'workers',
  'workers' | 'claimants',
  'name' | 'ttl' | 'state' | 'job' | 'finished' | 'failed' | 'seconds'
> = new Script({
  name: 'heartbeat',
  keys: ['worker', 'workers'],
  queueKeys: ['workers', 'claimants'],
  args: ['name', 'ttl', 'state', 'job', 'finished', 'failed', 'seconds'],
  parts: [clock],
  allowOom: true,
  body: `
local anew = redis.call('EXISTS', worker) == 0
if anew then
  redis.call('HSET', worker, 'birth', timestamp(), unpack(ARGV, rest, #ARGV))
  redis.call('SADD', workers, worker)
  for i = 1, queues do
    redis.call('SADD', queue(i).workers, worker)
    redis.call('SADD', queue(i).claimants, name)
  end
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
