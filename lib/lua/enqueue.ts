/** Adds jobs to one queue, each once however often the call is repeated. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { special } from './enqueue/special.ts';
import { clock } from './parts.ts';

/** Bytes of the longest value in a hash that Redis keeps as one piece: its setting `hash-max-listpack-value`, by default. */
const LISTPACK_VALUE = 64;

/**
 * `list` is where the jobs go: the queue's own list, or one that no worker takes them from. `mode` holds `together` where nothing
 * is to be stored if any of the jobs is refused: all are looked at first then; and `again` where this call may have been sent
 * before. It is '' for most calls.
 *
 * Rest: jobs in groups that are alike. A group is the number of its jobs, the number of setting arguments, then name and value
 * of each setting, and how they are queued: '' for at once and at the back, or `special` and 1 to go to the front, ttl (0 for none), 1 where the
 * ids are the caller's, when it is due ('' for now, unix seconds, or `+` and seconds from now), name of the group that it
 * belongs to ('' for none), 1 where the jobs wait for others, how they are unique ('' for not at all, `id`, or
 * `<else>:<seconds>` by their calls). Then, for each job,
 * id, data, description, where the id is the caller's an enqueue id, where the call is unique what stands for it, and where it waits
 * the number of jobs whose results it takes, the number of jobs that it waits for, and their ids, the former first.
 *
 * Reply: 1 where all of them were queued; else, for each job: 1 for queued, 2 for deferred, 3 for scheduled, also where an earlier sending of this call did it; or
 * a text: `duplicate:<status>`, `elsewhere:<queue>` (a job of this id has ended on another queue), `gone:<id>` (a job whose
 * result it takes), `cycle:<id>` (a job it waits for, which waits for it), `same:<id>:<status>` (the job of the same call
 * that keeps this one from being queued), or `error:<text>`.
 *
 * It declares no keys, as each costs a producer more than the name that it is made of.
 */
export const enqueue: Script<never, never, 'queue_name' | 'list' | 'mode', Constant> = new Script({
  name: 'enqueue',
  constants: [
    'all',
    'groups',
    'releasing',
    'job_prefix',
    'list_prefix',
    'finished_prefix',
    'failed_prefix',
    'canceled_prefix',
    'deferred_prefix',
    'scheduled_prefix',
    'results_prefix',
    'group_prefix',
    'status_prefix',
    'unique_prefix',
    'failure_ttl',
    'unique_ttl',
  ],
  args: ['queue_name', 'list', 'mode'],
  parts: [clock],
  body: `
-- before the first write, as a script that fails half-way has done its first half. A list with jobs is listed already
if redis.call('LLEN', list) == 0 then redis.call('SADD', all, list_prefix .. queue_name) end
local back, front = {}, {}
local at, last = rest, #ARGV
local stamp = timestamp()
-- each look-up of these for each job is a fiftieth of what that costs
local command, try, given = redis.call, redis.pcall, ARGV

-- nearly all jobs are of this kind, which nothing can be wrong with: so the rest of this script is for the others
local queued = 0
while mode == '' and at < last do
  local settings = at + 2
  local how = settings + tonumber(ARGV[at + 1])
  if ARGV[how] ~= '' then break end
  local count = tonumber(ARGV[at])
  at = how + 1
  -- Redis keeps a hash of short values as one piece of memory: to copy that of a job like it, and change what differs, takes
  -- it a quarter less than to add field by field
  local model
  for i = 1, count do
    local id, data, description = given[at], given[at + 1], given[at + 2]
    local key = job_prefix .. id
    local short = #data <= ${LISTPACK_VALUE} and #description <= ${LISTPACK_VALUE}
    local copied = model and short and try('COPY', model, key)
    if copied == 1 then
      command('HSET', key, 'data', data, 'description', description)
    else
      command('HSET', key, 'status', 'queued', 'origin', queue_name, 'created_at', stamp,
        'enqueued_at', stamp, 'data', data, 'description', description, unpack(ARGV, settings, how - 1))
      -- who may not copy can do without
      if copied then model = false elseif model == nil and short then model = key end
    end
    queued = queued + 1
    back[queued] = id
    at = at + 3
  end
end
local reply = 1
local calls
if at < last then
  ${special}
end
for first = 1, #back, 2000 do redis.call('RPUSH', list, unpack(back, first, math.min(first + 1999, #back))) end
for first = 1, #front, 2000 do redis.call('LPUSH', list, unpack(front, first, math.min(first + 1999, #front))) end
if calls then calls.publish() end
return reply`,
});
