/** `rq job`: everything about one job. */
import type { Command } from 'commander';
import { DependencyFailedError, type Job, type JobResult, type Rq } from '../../lib/index.ts';
import { isQueueName, messageOf } from '../../lib/options.ts';
import { ago, colour, print, printJson, redisCommand, safe, span, withRq, type Shared } from '../cli.ts';
import { theJob } from './cancel.ts';

export function jobCommand(): Command {
  return redisCommand(
    'job',
    'Shows everything about a job: its runs, its error with the stack, what it waits for.',
  )
    .argument('<id>', 'its id')
    .option('--json', 'prints JSON')
    .action((id: string, flags: Shared) => withRq(flags, async rq => show(rq, await theJob(rq, id), flags)));
}

/** A getter that may throw where somebody else wrote the field. */
function read<T>(get: () => T): T | string {
  try {
    return get();
  } catch (error) {
    return `(unreadable: ${messageOf(error)})`;
  }
}

async function show(rq: Rq, job: Job, flags: Shared): Promise<void> {
  const runs = await job.results().catch((): JobResult[] => []);
  const waitsFor = await Promise.all(
    Array.isArray(read(() => job.dependencyIds))
      ? job.dependencyIds.map(async id => ({ id, status: (await rq.fetchJob(id))?.status ?? 'gone' }))
      : [],
  );
  const blocked = job.status === 'deferred' ? await job.result.then(() => undefined, blockOf) : undefined;
  const dependents = await job.getDependentIds();
  const due =
    job.status === 'scheduled' && isQueueName(job.origin)
      ? await rq.queue(job.origin).scheduledRegistry.getScheduledTime(job.id)
      : undefined;
  const facts = {
    id: job.id,
    status: job.status,
    queue: job.origin,
    function: read(() => job.functionName),
    args: read(() => job.args),
    kwargs: read(() => job.kwargs),
    description: job.description,
    createdAt: job.createdAt,
    scheduledFor: due,
    enqueuedAt: job.enqueuedAt,
    startedAt: job.startedAt,
    endedAt: job.endedAt,
    worker: job.workerName,
    timeout: read(() => job.timeout),
    ttl: read(() => job.ttl),
    resultTtl: read(() => job.resultTtl),
    failureTtl: read(() => job.failureTtl),
    retriesLeft: read(() => job.retriesLeft),
    meta: Object.keys(job.meta).length > 0 ? job.meta : undefined,
    waitsFor: waitsFor.length > 0 ? waitsFor : undefined,
    blockedBy: blocked,
    dependents: dependents.length > 0 ? dependents : undefined,
  };
  if (flags.json === true) return printJson({ ...facts, runs });
  for (const [name, value] of Object.entries(facts)) {
    if (value !== undefined) print(`${name.padEnd(12)} ${safe(textOf(value))}`);
  }
  for (const run of runs) showRun(run);
}

function blockOf(error: unknown): string | undefined {
  return error instanceof DependencyFailedError ? error.message : undefined;
}

function fromNow(date: Date): string {
  const ahead = (date.getTime() - Date.now()) / 1000;
  return ahead > 0 ? `in ${span(ahead)}` : ago(date);
}

function textOf(value: unknown): string {
  if (value instanceof Date) return `${value.toISOString()} (${fromNow(value)})`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function showRun({ type, createdAt, workerName, executionId, returnValue, error }: JobResult): void {
  print();
  const at = createdAt === undefined ? '' : ` ${createdAt.toISOString()} (${ago(createdAt)})`;
  print(
    `${colour(type === 'successful' ? 'green' : 'red', type)}${at} on ${safe(workerName)} ${safe(executionId)}`,
  );
  if (type === 'successful') print(`  ${safe(JSON.stringify(returnValue))}`);
  for (const line of (error?.stack ?? '').split('\n')) if (line !== '') print(`  ${safe(line)}`);
}
