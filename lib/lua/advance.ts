/** The worker's one busy call: hands in the outcomes of runs that ended, and takes as many jobs as slots are free. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { MAX_RECOVERIES } from '../defaults.ts';
import { jobs } from './advance/jobs.ts';
import { outcomes } from './advance/outcomes.ts';
import { fill, release, releaseSome } from './dependents.ts';
import { parking, SLOT_CONSTANTS, slots } from './slots.ts';
import { announce, clock, keep, publish, queueAgain, queueNames, retry, seconds } from './parts.ts';

/** Bytes of a result that costs more to be told to nobody than to ask whether there is somebody. */
const LONG_RESULT = 1000;

/** How often a job has to be lost to be on probation, where `how` does not say: the next loss but one fails it. */
export const PROBATION: number = MAX_RECOVERIES - 1;

/**
 * Arguments: `run_prefix` is what this call's execution ids begin with (30 characters; `runSuffix` follows), `lease` the
 * seconds to the score of a run, `want` the number of jobs to take, or `claims` for one of the claims and none of a queue's,
 * `claims` a 0 or 1 for each queue: whether this worker has claims there, `few_channels` 1 where one look at all pub/sub channels costs less than one for each job.
 *
 * `how` is '' for a worker as most are, or, with semicolons between: the order, one of `default`, `round_robin`, `random`, `weighted`; the queue whose
 * turn it is (from 1) or the seed of a random order; how often a job has to be lost to be on probation; 1 for a `single`
 * call; 1 for a worker that takes its claims and nothing else; its rates, and its queues' weights, with commas.
 *
 * Rest: outcomes in groups that are alike. A group is the number of its outcomes, queue (from 1), status, seconds to keep
 * them (-1 for ever, 0 not at all), 1 where the result goes with the status message, 1 where there is a payload for the
 * result stream, what follows (after a failure `plan`, `never`, or `<seconds>/<most>` as
 * the function asked; `repeat` where a job that finished may run again), the key whose slot it took (''
 * for none); then, for each outcome, job id, execution id, result or error text, and where there is a payload that and the
 * seconds that the run took.
 *
 * Reply: `[answers, jobs, dropped, more, turn, unusable, timestamp, alone, closed]`. `answers` is their number where all were accepted; an answer is 1 for that (also when handed in before), 2 and 3
 * for a failure that was accepted and after which the job is queued, or scheduled, again, 0 for refused, -1 where a key of the queue has the wrong type. The jobs are one MessagePack array, of queue, id
 * and `[field, value, …]` of each in turn, the fields as they were before the run: as so many small strings of their own
 * they would cost both sides more than all the rest. A dropped id is `[queue, id, reason]`. `more` is 0 when the queues were found empty (those of the claims, where no other was looked at), 1 when not, 2 when work is suspended. `unusable` are
 * queues with a key of the wrong type, which nothing was taken from. `alone` is 1 where the one job taken is on probation: it
 * was lost `probation` times or more, and nothing should be started beside it for a while; 2 where such a one is next: it is
 * given to a call that says by `single` that no other is under way. `closed` are queues that nothing may be taken from: `[queue, 0]`
 * where it is paused, `[queue, milliseconds, jobs that wait]` where a rate limit has been reached for so long.
 *
 * A script that fails half-way has done its first half: so the keys of a queue are looked at before the first write,
 * and each job's hash is touched through `pcall`.
 *
 * It declares no keys, and makes functions only where they are needed: a call for one job costs what it is made of, more than
 * what it does.
 */
export const advance: Script<
  never,
  never,
  'queue_names' | 'worker' | 'run_prefix' | 'lease' | 'want' | 'claims' | 'few_channels' | 'how',
  Constant
> = new Script({
  name: 'advance',
  constants: [
    'suspended',
    'all',
    'releasing',
    'parked',
    'job_prefix',
    'started_prefix',
    'finished_prefix',
    'failed_prefix',
    'scheduled_prefix',
    'deferred_prefix',
    'limits_prefix',
    'starts_prefix',
    'taken_prefix',
    'worker_prefix',
    'claims_infix',
    'results_prefix',
    'group_prefix',
    'unique_prefix',
    'errors_kept',
    'error_bytes',
    'status_prefix',
    'release_most',
    ...SLOT_CONSTANTS,
  ],
  args: ['queue_names', 'worker', 'run_prefix', 'lease', 'want', 'claims', 'few_channels', 'how'],
  parts: [queueNames, clock, keep],
  allowOom: true,
  body: `
-- each look-up of these for each job would be a hundredth of what that costs
local command, try, given = redis.call, redis.pcall, ARGV
local order, turn, probation, single, aside, rates, weights = 'default', 1, ${PROBATION}, '0', '0', '', ''
if how ~= '' then
  order, turn, probation, single, aside, rates, weights = string.match(how, '^([^;]*);(%d+);(%d+);(.);(.);([^;]*);(.*)$')
  if aside == '1' then slots_prefix = '' end
end
local queues = #names
local units = {}
local function queue(i)
  local unit = units[i]
  if unit then return unit end
  local name = names[i]
  unit = { started = started_prefix .. name, finished = finished_prefix .. name, failed = failed_prefix .. name,
    list = aside == '1' and worker_prefix .. worker .. claims_infix .. name or list_prefix .. name }
  units[i] = unit
  return unit
end

-- one look at all channels, where they are few, spares two for each job
local somebody, listened
local function heard()
  if somebody == nil then
    somebody = true
    if few_channels == '1' then
      if redis.call('PUBSUB', 'NUMPAT') > 0 then listened = true
      else
        listened = {}
        somebody = false
        for _, channel in ipairs(redis.call('PUBSUB', 'CHANNELS', status_prefix .. '*')) do
          listened[channel] = true
          somebody = true
        end
      end
    end
  end
  return somebody
end
-- parts that few calls need are made when they are: making a function costs as much as a look at a key
local messages
-- to ask who listens costs more than to tell of one job or two, where the results are short
local told, first_told = 0, {}
local function announce(...)
  told = told + 1
  if told <= 2 then
    first_told[told] = { ... }
    return
  end
  if not heard() then return end
  if not messages then
    ${announce}
    messages = { add = announce, send = publish_all }
    for n = 1, 2 do announce(unpack(first_told[n], 1, 5)) end
  end
  messages.add(...)
end
local follow_ups
local function following()
  if not follow_ups then
    ${seconds}
    ${queueAgain}
    ${retry}
    ${fill}
    local release_left = tonumber(release_most)
    ${release}
    ${releaseSome}
    ${slots}
    ${parking}
    follow_ups = { retry = retry, run_as_asked = run_as_asked, run_repeated = run_repeated, release = release,
      release_some = release_some, unpark = unpark, slot_free = slot_free, park = park }
  end
  return follow_ups
end

local queue_ok, unusable = {}, {}
local function usable(i)
  local known = queue_ok[i]
  if known ~= nil then return known end
  local q, size = queue(i), 'number'
  known = type(try('ZCARD', q.started)) == size and type(try('ZCARD', q.finished)) == size and
    type(try('ZCARD', q.failed)) == size and type(try('LLEN', q.list)) == size
  queue_ok[i] = known
  if not known then unusable[#unusable + 1] = i end
  return known
end
local answers, accepted = {}, 0
if rest < #given then
  ${outcomes}
end
local jobs, dropped, closed = {}, {}, {}
local taken, alone, more = 0, 0, 0
local next_turn = tonumber(turn)
if want ~= '0' or string.find(claims, '1', 1, true) then
  ${jobs}
end
-- who finds nothing to take goes on with dependents that were too many at once
if more == 0 and command('EXISTS', releasing) == 1 and following().release_some() then more = 1 end
if messages then messages.send(listened)
elseif told > 0 and told <= 2 then
  ${publish}
  for n = 1, told do
    local queue_name, id, status, by, result = unpack(first_told[n], 1, 5)
    if not result or #result < ${LONG_RESULT} or command('PUBSUB', 'NUMPAT') > 0 or
      tonumber(command('PUBSUB', 'NUMSUB', status_prefix .. queue_name .. ':' .. id)[2]) > 0 then
      publish(queue_name, id, status, by, result)
    end
  end
end
return { accepted == #answers and accepted or answers, taken > 0 and cmsgpack.pack(jobs) or '', dropped, more, next_turn, unusable,
  taken > 0 and timestamp() or '', alone, closed }`,
});

/** What a call's n-th run, from 0, has after its `run_prefix`: two letters. */
export function runSuffix(n: number): string {
  return String.fromCharCode(97 + Math.floor(n / 26), 97 + (n % 26));
}
