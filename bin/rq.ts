#!/usr/bin/env node
/** `rq`: RQ's command line, and what it lacks. One file for each command. */
import { Command } from 'commander';
import { runProgram } from './cli.ts';
import { cancelCommand, stopCommand } from './rq/cancel.ts';
import { cleanCommand } from './rq/clean.ts';
import { cronCommand } from './rq/cron.ts';
import { doctorCommand } from './rq/doctor.ts';
import { emptyCommand } from './rq/empty.ts';
import { enqueueCommand } from './rq/enqueue.ts';
import { failedCommand } from './rq/failed.ts';
import { infoCommand } from './rq/info.ts';
import { jobCommand } from './rq/job.ts';
import { pauseCommand, unpauseCommand } from './rq/pause.ts';
import { rateCommand } from './rq/rate.ts';
import { requeueCommand } from './rq/requeue.ts';
import { resumeCommand, suspendCommand } from './rq/suspend.ts';
import { topCommand } from './rq/top.ts';
import { workerCommand } from './rq/worker.ts';

const program = new Command('rq')
  .description('Queues of jobs in Redis: looks at them, and works on them. `rq help <command>` says more.')
  .configureHelp({ sortSubcommands: true });
for (const command of [
  cancelCommand(),
  cleanCommand(),
  cronCommand(),
  doctorCommand(),
  emptyCommand(),
  enqueueCommand(),
  failedCommand(),
  infoCommand(),
  jobCommand(),
  pauseCommand(),
  rateCommand(),
  requeueCommand(),
  resumeCommand(),
  stopCommand(),
  suspendCommand(),
  topCommand(),
  unpauseCommand(),
  workerCommand('worker'),
])
  program.addCommand(command);

process.exit(await runProgram(program, process.argv));
