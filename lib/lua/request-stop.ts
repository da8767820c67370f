/** Asks the worker of a run to end it: by a message, and by a mark that it finds with its next renewal. */
import { Script } from '../script.ts';

/**
 * Reply: `[was, worker, heard, marked]`: the status, or `gone`; how many listened; 1 where the run is one of ours, whose
 * worker, or the janitor after it, finds the mark if nobody listened.
 */
export const requestStop: Script<'job', never, 'id' | 'command_prefix'> = new Script({
  name: 'request_stop',
  keys: ['job'],
  args: ['id', 'command_prefix'],
  allowOom: true,
  body: `
local held = redis.call('HMGET', job, 'status', 'worker_name', 'execution_id')
if not held[1] then return { 'gone', '', 0, 0 } end
local worker, run = held[2] or '', held[3] or ''
if held[1] ~= 'started' or worker == '' then return { held[1], worker, 0, 0 } end
local marked = string.sub(run, 1, 1) == 'n' and 1 or 0
if marked == 1 then redis.call('HSET', job, 'stop_requested', run) end
local heard = redis.call('PUBLISH', command_prefix .. worker, '{"command":"stop-job","job_id":' .. cjson.encode(id) .. '}')
return { 'started', worker, heard, marked }`,
});
