/** Gives runs back to the front of their queues, uncounted: at a shutdown, and after a reply that was lost. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { SLOT_CONSTANTS, slots } from './slots.ts';
import { announce, clock, queueAgain, queueNames, seconds } from './parts.ts';

/** Rest, for each run: queue (from 1), job id, execution id; the first of them ends up in front. Reply: how many were given back. */
export const giveBack: Script<'all' | 'parked', 'list' | 'started', 'worker' | 'queue_names', Constant> =
  new Script({
    name: 'give_back',
    keys: ['all', 'parked'],
    queueKeys: ['list', 'started'],
    constants: ['job_prefix', 'status_prefix', 'errors_kept', 'error_bytes', ...SLOT_CONSTANTS],
    args: ['worker', 'queue_names'],
    parts: [queueNames, clock, announce, seconds, queueAgain, slots],
    allowOom: true,
    body: `
local given = 0
for at = #ARGV - 2, rest, -3 do
  local i, id, run = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  local q = queue(i)
  local key = job_prefix .. id
  local held = redis.pcall('HMGET', key, 'status', 'execution_id', 'worker_name', 'stop_requested', 'limit_key')
  local listable = type(redis.pcall('LLEN', q.list)) ~= 'table'
  if listable then
    local mine = not held.err and held[1] == 'started' and held[2] == run and held[3] == worker
    if mine and held[4] == run then
      -- somebody asked it to stop, and was told that it would: the next sweep ends it
      redis.pcall('ZADD', q.started, 'XX', 0, id .. ':' .. run)
    else
      redis.pcall('ZREM', q.started, id .. ':' .. run)
    end
    if mine and held[4] ~= run then
      if held[5] then free_slot(held[5], id, run) end
      queue_again(key, id, q.list, true)
      announce(names[i], id, 'queued')
      given = given + 1
    end
  end
end
publish_all()
return given`,
  });
