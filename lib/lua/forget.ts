/** Takes a queue off the set of queues, unless a job has been put on it meanwhile. */
import { Script } from '../script.ts';

/** Reply: 1 where it was taken off. */
export const forget: Script<'all', 'list' | 'parked'> = new Script({
  name: 'forget',
  keys: ['all'],
  queueKeys: ['list', 'parked'],
  allowOom: true,
  body: `
if redis.call('LLEN', queue(1).list) > 0 or redis.call('EXISTS', queue(1).parked) == 1 then return 0 end
return redis.call('SREM', all, queue(1).list)`,
});
