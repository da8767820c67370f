/** Reads all that is kept of what came of a job's runs. */
import { Script } from '../script.ts';

/** Reply: `[hash, entries]`: `[field, value, …]`, and the result stream's entries, newest first. */
export const readResults: Script<'job' | 'results'> = new Script({
  name: 'read_results',
  keys: ['job', 'results'],
  readsOnly: true,
  body: `
local names = { 'status', 'ended_at', 'worker_name', 'execution_id', 'result', 'exc_info', 'errors' }
local held = redis.call('HMGET', job, unpack(names))
if not held[1] and redis.call('EXISTS', job) == 0 then return { {}, {} } end
local hash = {}
for i, name in ipairs(names) do
  if held[i] then
    hash[#hash + 1] = name
    hash[#hash + 1] = held[i]
  end
end
local entries = redis.pcall('XREVRANGE', results, '+', '-')
-- always something, so that a job is told from none
return { { 'id', '', unpack(hash) }, entries.err and {} or entries }`,
});
