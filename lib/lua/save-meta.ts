/** Writes a job's meta, unless the job is gone: a late write brings no hash back to life. */
import { Script } from '../script.ts';

/** Reply: 1, or 0 where there is no such job. */
export const saveMeta: Script<'job', never, 'meta'> = new Script({
  name: 'save_meta',
  keys: ['job'],
  args: ['meta'],
  body: `
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, 'meta', meta)
return 1`,
});
