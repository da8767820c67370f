/** What crons ask of Redis: one function for each verb. Each may be sent twice. */
import type { Redis } from 'ioredis';
import { nextTick } from './cron-pattern.ts';
import { cronJob, readDefinition, toText, type CronJob, type NewCron } from './cron.ts';
import type { Keys, QueueKeys } from './keys.ts';
import { cronTick } from './lua/cron-tick.ts';
import { listCrons } from './lua/list-crons.ts';
import { removeCron } from './lua/remove-cron.ts';
import { setCron } from './lua/set-cron.ts';
import { plainJob, type NewJob } from './new-job.ts';

/** A cron whose tick has come, as Redis holds it. */
export interface DueCron {
  /** Place of its queue among the worker's. */
  readonly place: number;
  readonly name: string;
  /** Unix seconds, as Redis writes them. */
  readonly tick: string;
  /** '' where there is none. */
  readonly definition: string;
}

/** What became of a tick: another one took it, it was passed over, or its job was queued. */
export type Ticked = 'taken' | 'passed' | 'queued';
const TICKED: readonly Ticked[] = ['taken', 'passed', 'queued'];
const NO_JOB: NewJob = plainJob('', '', '', []);

/** Adds or changes a cron of a queue. `undefined` where it never comes by Redis' clock: nothing is written then. */
export async function writeCron(redis: Redis, queue: QueueKeys, cron: NewCron): Promise<CronJob | undefined> {
  const { name, definition } = cron;
  const { pattern, timezone } = definition;
  const [seconds] = await redis.time();
  const first = nextTick(pattern, timezone, Number(seconds));
  if (first === undefined) return undefined;
  const [next, last] = (await setCron.run(redis, {
    keys: {},
    queues: [queue],
    args: { name, definition: toText(definition), pattern, timezone, next: first },
  })) as [string, string | null];
  return cronJob(queue.name, cron, Number(next), last === null ? undefined : Number(last));
}

/** All that can be read, those that come next first. */
export async function readCrons(redis: Redis, queue: QueueKeys): Promise<CronJob[]> {
  type Listed = [name: string, definition: string, next: string | null, last: string | null];
  const listed = (await listCrons.run(redis, { keys: {}, queues: [queue], args: {} })) as Listed[];
  const crons = listed.flatMap(([name, text, next, last]) => {
    try {
      const cron = { name, definition: readDefinition(text) };
      return [cronJob(queue.name, cron, numberIn(next), numberIn(last))];
    } catch {
      // somebody else's
      return [];
    }
  });
  const at = ({ nextRunAt }: CronJob): number => nextRunAt?.getTime() ?? Infinity;
  return crons.toSorted((one, other) => at(one) - at(other) || (one.name < other.name ? -1 : 1));
}

/** Whether there was one. */
export async function dropCron(redis: Redis, queue: QueueKeys, name: string): Promise<boolean> {
  return Number(await removeCron.run(redis, { keys: {}, queues: [queue], args: { name } })) === 1;
}

/** Queues the job of a tick where one is given, and notes the next one: unix seconds, or `+inf` for never. */
export async function takeTick(
  redis: Redis,
  keys: Keys,
  queue: string,
  { name, tick, definition }: DueCron,
  next: string,
  job: NewJob = NO_JOB,
): Promise<Ticked> {
  const reply = await cronTick.run(redis, {
    keys: { all: keys.queues, job: keys.job(job.id) },
    queues: [keys.queue(queue)],
    args: {
      name,
      definition,
      tick,
      next,
      run: job === NO_JOB ? '0' : '1',
      id: job.id,
      queue_name: queue,
      data: job.data,
      description: job.description,
      ttl: job.ttl,
      front: job.atFront ? '1' : '0',
    },
    rest: [...job.settings],
  });
  return TICKED[Number(reply)] ?? 'taken';
}

function numberIn(text: string | null): number | undefined {
  return text === null ? undefined : Number(text);
}
