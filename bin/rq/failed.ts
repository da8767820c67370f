/** `rq failed`: what failed, grouped by what went wrong. */
import type { Command } from 'commander';
import { type Job, type Queue, type RemoteError } from '../../lib/index.ts';
import { parseDuration } from '../../lib/duration.ts';
import {
  ago,
  checkQueues,
  colour,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';

/** Jobs that are read at a time. */
const BATCH = 200;
const LONGEST_MESSAGE = 160;

interface Flags extends Shared {
  readonly queue?: string;
  readonly function?: string;
  readonly since?: string;
}

interface Group {
  readonly queue: string;
  readonly function: string;
  readonly error: string;
  readonly message: string;
  count: number;
  last: Date | undefined;
  /** The job that failed last. */
  jobId: string;
}

export function failedCommand(): Command {
  return redisCommand('failed', 'Shows failed jobs, grouped by function and error, the most frequent first.')
    .option('--queue <name>', 'of one queue only')
    .option('--function <name>', 'of one function only')
    .option('--since <duration>', 'that failed since (1h, 2d)')
    .option('--json', 'prints JSON')
    .action((flags: Flags) =>
      withRq(flags, async rq => {
        const since =
          flags.since === undefined ? 0 : Date.now() - parseDuration(flags.since, '--since') * 1000;
        if (flags.queue !== undefined) await checkQueues(rq, [flags.queue]);
        const queues = flags.queue === undefined ? await rq.queues() : [rq.queue(flags.queue)];
        const groups = new Map<string, Group>();
        for (const queue of queues) await gather(queue, flags.function, since, groups);
        show(
          [...groups.values()].toSorted((a, b) => b.count - a.count),
          flags,
        );
      }),
    );
}

async function gather(
  queue: Queue,
  fn: string | undefined,
  since: number,
  groups: Map<string, Group>,
): Promise<void> {
  const ids = await queue.failedRegistry.getJobIds();
  for (let first = 0; first < ids.length; first += BATCH) {
    const jobs = await Promise.all(
      ids.slice(first, first + BATCH).map(id => queue.fetchJob(id).catch(() => undefined)),
    );
    await Promise.all(
      jobs.map(async job => {
        if (job === undefined || (job.endedAt?.getTime() ?? 0) < since) return;
        const name = nameOf(job);
        if (fn !== undefined && name !== fn) return;
        add(groups, queue.name, name, job, await errorOf(job));
      }),
    );
  }
}

function nameOf(job: Job): string {
  try {
    return job.functionName;
  } catch {
    return '(unreadable)';
  }
}

async function errorOf(job: Job): Promise<RemoteError> {
  const [last] = await job.results().catch(() => []);
  return last?.error ?? { name: job.status, message: '', stack: '' };
}

function add(groups: Map<string, Group>, queue: string, fn: string, job: Job, error: RemoteError): void {
  // numbers and ids differ from one failure to the next: what is left tells one kind from another
  const message = (error.message.split('\n')[0] ?? '').slice(0, LONGEST_MESSAGE);
  const kind = message.replaceAll(/[0-9a-f-]{8,}|\d+/gi, '#');
  const key = JSON.stringify([queue, fn, error.name, kind]);
  const group = groups.get(key) ?? {
    queue,
    function: fn,
    error: error.name,
    message,
    count: 0,
    last: undefined,
    jobId: job.id,
  };
  groups.set(key, group);
  group.count++;
  if (group.last === undefined || (job.endedAt !== undefined && job.endedAt > group.last)) {
    group.last = job.endedAt;
    group.jobId = job.id;
  }
}

function show(groups: readonly Group[], flags: Flags): void {
  if (flags.json === true) return printJson(groups);
  for (const { count, queue, function: fn, error, message, last, jobId } of groups) {
    const what = message === '' ? error : `${error}: ${message}`;
    print(`${String(count).padStart(6)}  ${safe(`${queue}: ${fn}`)}  ${colour('red', safe(what))}`);
    print(`        last ${last === undefined ? 'at an unknown time' : ago(last)}, ${safe(jobId)}`);
  }
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  print(`${total} failed jobs, ${groups.length} kinds`);
}
