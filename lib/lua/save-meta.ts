/** Writes a job's meta, unless the job is gone: a late write brings no hash back to life. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { clock, running } from './parts.ts';

/**
 * `run` is the run whose function writes it, '' for others; where the job's run it is, and `published` is 1, those who listen are
 * told. Reply: 1, or 0 where there is no such job.
 */
export const saveMeta: Script<
  'job',
  never,
  'id' | 'queue_name' | 'worker' | 'run' | 'meta' | 'published',
  Constant
> = new Script({
  name: 'save_meta',
  keys: ['job'],
  constants: ['status_prefix'],
  args: ['id', 'queue_name', 'worker', 'run', 'meta', 'published'],
  parts: [clock, running],
  body: `
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, 'meta', meta)
if published == '1' and runs() then tell('"meta":' .. meta) end
return 1`,
});
