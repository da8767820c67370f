/** Asks the worker of a run to end it: by a message, and by a mark that it finds with its next renewal. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';

/**
 * Reply: `[was, worker, heard, marked]`: the status, or `gone`; how many listened; 1 where the run is one of ours, whose
 * worker, or the janitor after it, finds the mark if nobody listened.
 */
export const requestStop: Script<'job', never, 'id', Constant> = new Script({
  name: 'request_stop',
  keys: ['job'],
  constants: ['started_prefix', 'command_prefix'],
  args: ['id'],
  allowOom: true,
  body: `
local held = redis.call('HMGET', job, 'status', 'worker_name', 'execution_id', 'origin', 'stop_requested')
if not held[1] then return { 'gone', '', 0, 0 } end
local worker, run = held[2] or '', held[3] or ''
-- this very request, sent again after its reply was lost
if held[1] == 'stopped' and run ~= '' and held[5] == run then return { 'started', worker, 0, 1 } end
if held[1] ~= 'started' or worker == '' then return { held[1], worker, 0, 0 } end
-- RQ's claim leaves our execution id in place: so the run's member in the started registry decides whose it is
local ours = string.sub(run, 1, 1) == 'n' and redis.call('ZSCORE', started_prefix .. (held[4] or ''), id .. ':' .. run)
local marked = type(ours) == 'string' and 1 or 0
if marked == 1 then redis.call('HSET', job, 'stop_requested', run) end
local heard = redis.pcall('PUBLISH', command_prefix .. worker, '{"command":"stop-job","job_id":' .. cjson.encode(id) .. '}')
-- a user without the right to publish has the mark, where there is one
if type(heard) == 'table' and marked == 0 then return heard end
return { 'started', worker, type(heard) == 'number' and heard or 0, marked }`,
});
