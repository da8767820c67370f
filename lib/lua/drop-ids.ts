/** Takes ids without a job out of one list or registry of a queue. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { clock } from './parts.ts';

/**
 * `kind` is `list`, `started` or `registry`: of the started one only runs are looked at whose worker was not heard of for longer
 * than their score allows. `dry` is 1 to look only. Rest: members. Reply: those that were taken out, or would be.
 */
export const dropIds: Script<'place', never, 'kind' | 'dry', Constant> = new Script({
  name: 'drop_ids',
  keys: ['place'],
  constants: ['job_prefix'],
  args: ['kind', 'dry'],
  parts: [clock],
  allowOom: true,
  body: `
local found = {}
for n = rest, #ARGV do
  local member = ARGV[n]
  local id, stale = member, true
  if kind == 'started' then
    id = string.match(member, '^(.*):[^:]*$') or member
    stale = (tonumber(redis.call('ZSCORE', place, member) or 'inf')) < now
  end
  if stale and redis.call('EXISTS', job_prefix .. id) == 0 then
    local gone = 1
    if dry == '0' then
      if kind == 'list' then gone = redis.call('LREM', place, 0, member) else gone = redis.call('ZREM', place, member) end
    end
    if gone > 0 then found[#found + 1] = member end
  end
end
return found`,
});
