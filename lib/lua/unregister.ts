/** Ends a worker's registration. Its hash stays for a minute with the time of death, as RQ's does. */
import { Script } from '../script.ts';
import { clock } from './parts.ts';

/** Reply: 1, or 0 where the worker was not registered any more. */
export const unregister: Script<'worker' | 'workers', 'workers' | 'claimants' | 'claims', 'name'> =
  new Script({
    name: 'unregister',
    keys: ['worker', 'workers'],
    queueKeys: ['workers', 'claimants', 'claims'],
    args: ['name'],
    parts: [clock],
    allowOom: true,
    body: `
redis.pcall('SREM', workers, worker)
for i = 1, queues do
  redis.pcall('SREM', queue(i).workers, worker)
  -- with claims left, the next sweep needs to find them
  if redis.call('EXISTS', queue(i).claims) == 0 then redis.pcall('SREM', queue(i).claimants, name) end
end
if redis.call('EXISTS', worker) == 0 then return 0 end
redis.call('HDEL', worker, 'current_job')
redis.call('HSET', worker, 'death', timestamp())
redis.call('EXPIRE', worker, 60)
return 1`,
  });
