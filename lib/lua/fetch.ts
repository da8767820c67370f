/** Reads jobs' hashes whole. */
import { Script } from '../script.ts';

/** Rest: ids. Reply, for each: `[field, value, …]`, empty where there is no such job, or an error text where its key is no hash. */
export const fetch: Script<never, never, 'job_prefix'> = new Script({
  name: 'fetch',
  args: ['job_prefix'],
  readsOnly: true,
  body: `
local found = {}
for i = rest, #ARGV do
  local fields = redis.pcall('HGETALL', job_prefix .. ARGV[i])
  -- a missing right is not the job's fault
  if fields.err and not string.find(fields.err, 'WRONGTYPE', 1, true) then return fields end
  found[#found + 1] = fields.err or fields
end
return found`,
});
