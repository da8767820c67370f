/** Reads how jobs stand, and what came of those that ended: by us in the hash, by Python in the result stream. */
import { Script } from '../script.ts';

/**
 * Rest: ids. Reply, for each: `[status, queue, result, error, stream entry]`, with false for what there is not: either the
 * entry, `[field, value, …]`, or the hash says what came of the job.
 */
export const readState: Script<never, never, 'job_prefix' | 'results_prefix'> = new Script({
  name: 'read_state',
  args: ['job_prefix', 'results_prefix'],
  readsOnly: true,
  body: `
local states = {}
for i = rest, #ARGV do
  local id = ARGV[i]
  local held = redis.pcall('HMGET', job_prefix .. id, 'status', 'origin')
  -- a missing right is not the job's fault
  if held.err and not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
  local state = { false, false, false, false, false }
  if not held.err and held[1] then
    local status = held[1]
    state[1], state[2] = status, held[2]
    if status == 'finished' or status == 'failed' then
      -- where Python had a hand in the job, the stream is right, and the hash may hold what an earlier run left
      local entries = redis.pcall('XREVRANGE', results_prefix .. id, '+', '-', 'COUNT', 1)
      if entries.err and not string.find(entries.err, 'WRONGTYPE', 1, true) then return entries end
      local entry = not entries.err and entries[1] and entries[1][2]
      for n = 1, entry and #entry or 0, 2 do
        if entry[n] == 'type' and entry[n + 1] == (status == 'finished' and '1' or '2') then state[5] = entry end
      end
      if not state[5] and status == 'finished' then state[3] = redis.call('HGET', job_prefix .. id, 'result') end
      if not state[5] and status == 'failed' then state[4] = redis.call('HGET', job_prefix .. id, 'exc_info') end
    end
  end
  states[#states + 1] = state
end
return states`,
});
