/** `rq clean`: deletes old ended jobs, and what nothing leads to any more. */
import { InvalidArgumentError, type Command } from 'commander';
import type { CleanOptions, CleanReport, EndedStatus } from '../../lib/index.ts';
import {
  FAILED,
  checkQueues,
  confirmed,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';
import { Progress } from '../progress.ts';

/** Ids that are shown of each kind. */
const SHOWN = 5;
const STATUSES: readonly string[] = ['finished', 'failed', 'stopped', 'canceled'] satisfies EndedStatus[];

interface Flags extends Shared {
  readonly olderThan?: string;
  readonly status?: readonly EndedStatus[];
  readonly queue?: readonly string[];
  readonly orphans: boolean;
  readonly grace?: string;
  readonly dryRun?: boolean;
}

export function cleanCommand(): Command {
  return redisCommand(
    'clean',
    'Deletes jobs that ended long ago, jobs that nothing leads to any more, and ids without a job.',
  )
    .option('--older-than <duration>', 'jobs that ended longer ago (7d, 12h), of all statuses by default')
    .option(
      '--status <statuses>',
      'jobs that ended so: finished,failed,stopped,canceled; of any age by default',
      statusesFrom,
    )
    .option(
      '--queue <name>',
      'of this queue only; repeatable',
      (value: string, all: readonly string[] | undefined) => [...(all ?? []), value],
    )
    .option('--no-orphans', 'leaves alone jobs that nothing leads to, and ids without a job')
    .option('--grace <duration>', 'how long nobody may have changed such a job (default: 10m)')
    .option('--dry-run', 'shows what would be deleted')
    .option('-y, --yes', 'does not ask')
    .option('--json', 'prints JSON')
    .action((flags: Flags) =>
      withRq(flags, async rq => {
        await checkQueues(rq, flags.queue ?? []);
        using progress = new Progress('Looked at', undefined);
        const options: CleanOptions = {
          ...(flags.olderThan === undefined ? {} : { olderThan: flags.olderThan }),
          ...(flags.status === undefined ? {} : { status: flags.status }),
          ...(flags.queue === undefined ? {} : { queues: flags.queue }),
          ...(flags.grace === undefined ? {} : { grace: flags.grace }),
          orphans: flags.orphans,
          dryRun: flags.dryRun === true,
          signal: progress.signal,
          onProgress: n => progress.add(n),
          ...(flags.yes === true
            ? {}
            : {
                confirm: found => {
                  progress.hide();
                  if (flags.json !== true) show(found, 'Found');
                  return confirmed(`Delete ${summaryOf(found)}?`, flags);
                },
              }),
        };
        const report = await rq.clean(options);
        progress.hide();
        const { deleted, interrupted } = report;
        if (flags.json === true) printJson(report);
        else if (deleted || flags.dryRun === true || isNothing(report))
          show(report, flags.dryRun === true ? 'Would delete' : 'Deleted');
        if (interrupted && flags.json !== true) print('Interrupted: the rest was left alone');
        const refused = !deleted && flags.dryRun !== true && !isNothing(report);
        if (interrupted || refused) process.exitCode = FAILED;
      }),
    );
}

function statusesFrom(text: string): EndedStatus[] {
  const statuses = text.split(',').map(status => status.trim());
  for (const status of statuses) {
    if (!STATUSES.includes(status)) throw new InvalidArgumentError(`It must be of ${STATUSES.join(',')}.`);
  }
  return statuses as EndedStatus[];
}

function isNothing({ ended, orphans, strayIds }: CleanReport): boolean {
  return ended.length + orphans.length + strayIds.length === 0;
}

function strayCount({ strayIds }: CleanReport): number {
  return strayIds.reduce((sum, { ids }) => sum + ids.length, 0);
}

function several(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function summaryOf(report: CleanReport): string {
  const parts = [
    ...report.ended.map(({ queue, status, count }) => `${several(count, `${status} job`)} of ${safe(queue)}`),
    ...(report.orphans.length > 0 ? [several(report.orphans.length, 'orphaned job')] : []),
    ...(strayCount(report) > 0 ? [`${several(strayCount(report), 'id')} without a job`] : []),
  ];
  return parts.join(', ');
}

function show(report: CleanReport, what: string): void {
  if (isNothing(report)) return print('Nothing to clean');
  for (const { queue, status, count } of report.ended)
    print(`${what} ${several(count, `${status} job`)} of ${safe(queue)}`);
  const { orphans } = report;
  if (orphans.length > 0) {
    const some = orphans.map(
      ({ id, queue, status }) => `${id} (${status === '' ? 'no status' : status}, ${queue})`,
    );
    print(`${what} ${several(orphans.length, 'job')} that nothing leads to: ${listed(some)}`);
  }
  for (const { queue, place, ids } of report.strayIds)
    print(
      `${what} ${several(ids.length, 'id')} without a job from ${place} of ${safe(queue)}: ${listed(ids)}`,
    );
}

function listed(all: readonly string[]): string {
  const rest = all.length > SHOWN ? `, … ${all.length - SHOWN} more` : '';
  return `${all.slice(0, SHOWN).map(safe).join(', ')}${rest}`;
}
