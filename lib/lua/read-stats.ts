/** Reads how a queue's backlog stands, and how it stood of late. */
import { Script } from '../script.ts';
import type { Constant } from '../constants.ts';
import { clock } from './parts.ts';

/** Reply: `[now, length, jobs taken so far, enqueued_at of the oldest that waits, samples]`, the newest sample first. */
export const readStats: Script<never, 'list' | 'taken' | 'samples', never, Constant> = new Script({
  name: 'read_stats',
  queueKeys: ['list', 'taken', 'samples'],
  constants: ['job_prefix'],
  parts: [clock],
  readsOnly: true,
  body: `
local q = queue(1)
local oldest = redis.call('LINDEX', q.list, 0)
local since = oldest and redis.pcall('HGET', job_prefix .. oldest, 'enqueued_at')
local taken = redis.pcall('GET', q.taken)
local samples = redis.pcall('LRANGE', q.samples, 0, -1)
return { string.format('%.3f', now), redis.call('LLEN', q.list), type(taken) == 'string' and taken or '0',
  type(since) == 'string' and since or '', samples.err and {} or samples }`,
});
