/** Reads how jobs stand, and what came of those that ended: by us in the hash, by Python in the result stream. */
import { Script } from '../script.ts';

/**
 * Rest: ids. Reply, for each: `[status, queue, result, error, stream entry]`, with false for what there is not; the
 * stream entry, `[field, value, …]`, is read only where the hash does not say what came of the job.
 */
export const readState: Script<never, never, 'job_prefix' | 'results_prefix'> = new Script({
  name: 'read_state',
  args: ['job_prefix', 'results_prefix'],
  allowOom: true,
  body: `
local states = {}
for i = rest, #ARGV do
  local id = ARGV[i]
  local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'origin')
  local state = { false, false, false, false, false }
  if not held.err and held[1] then
    local status = held[1]
    state[1], state[2] = status, held[2]
    if status == 'finished' then state[3] = redis.call('HGET', job_prefix .. id, 'result') end
    if status == 'failed' then state[4] = redis.call('HGET', job_prefix .. id, 'exc_info') end
    if status == 'finished' and (not state[3] or state[3] == '') or status == 'failed' and (not state[4] or state[4] == '') then
      local entries = redis.pcall('XREVRANGE', results_prefix .. id, '+', '-', 'COUNT', 1)
      if not entries.err and entries[1] then state[5] = entries[1][2] end
    end
  end
  states[#states + 1] = state
end
return states`,
});
