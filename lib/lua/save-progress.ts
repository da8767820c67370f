/** Keeps how far a run is, and tells it to those who listen; behind the fence, as an outcome is. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { clock, running } from './parts.ts';

/** `progress` is a JSON object, to which the time is added. Reply: 1, or 0 where the run is not the job's any more, or has ended. */
export const saveProgress: Script<
  'job',
  never,
  'id' | 'queue_name' | 'worker' | 'run' | 'progress',
  Constant
> = new Script({
  name: 'save_progress',
  keys: ['job'],
  constants: ['status_prefix'],
  args: ['id', 'queue_name', 'worker', 'run', 'progress'],
  parts: [clock, running],
  body: `
if not runs() then return 0 end
local text = string.sub(progress, 1, -2) .. ',"at":"' .. timestamp() .. '"}'
redis.call('HSET', job, 'progress', text)
tell('"progress":' .. text)
return 1`,
});
