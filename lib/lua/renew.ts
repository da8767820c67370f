/** Renews the leases of runs, and says which of them are no longer the worker's. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { clock } from './parts.ts';

/**
 * Rest, for each run: queue (from 1), job id, execution id. Reply: `[lost, stops]`: the execution ids that are lost, and those
 * that are asked to stop.
 */
export const renew: Script<never, 'started', 'worker' | 'lease', Constant> = new Script({
  name: 'renew',
  queueKeys: ['started'],
  constants: ['job_prefix'],
  args: ['worker', 'lease'],
  parts: [clock],
  allowOom: true,
  body: `
local lost, stops = {}, {}
local lease_end = now + tonumber(lease)
for at = rest, #ARGV, 3 do
  local started, id, run = queue(tonumber(ARGV[at])).started, ARGV[at + 1], ARGV[at + 2]
  local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'execution_id', 'worker_name', 'stop_requested')
  if not held.err and held[1] == 'started' and held[2] == run and held[3] == worker then
    redis.pcall('ZADD', started, lease_end, id .. ':' .. run)
    if held[4] == run then stops[#stops + 1] = run end
  else
    redis.pcall('ZREM', started, id .. ':' .. run)
    lost[#lost + 1] = run
  end
end
return { lost, stops }`,
});
