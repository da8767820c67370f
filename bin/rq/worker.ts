/** `rq worker`, also known as `rq-worker`: runs the jobs of queues, in RQ's flags and words. */
import { rmSync, writeFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import {
  loadCrons,
  loadErrorHook,
  loadFunctions,
  Worker,
  type DequeueStrategy,
  type ErrorHook,
  type MetricsOptions,
} from '../../lib/index.ts';
import { messageOf } from '../../lib/options.ts';
import { Complaint, FAILED, OK, USAGE, countFrom, redisCommand } from '../cli.ts';
import { LOG_LEVELS, makeLogger, type LogFormat, type LogLevel } from '../logger.ts';

interface Flags {
  readonly url?: string;
  readonly functions?: readonly string[];
  readonly cron?: readonly string[];
  readonly concurrency: number;
  readonly name?: string;
  readonly burst?: boolean;
  readonly maxJobs?: number;
  readonly maxIdleTime?: string;
  readonly resultsTtl?: string;
  readonly shutdownTimeout?: string;
  readonly grace?: string;
  readonly lease?: string;
  readonly maxRecoveries?: number;
  readonly dequeueStrategy?: DequeueStrategy;
  readonly weights?: Readonly<Record<string, number>>;
  readonly rateLimit?: Readonly<Record<string, string>>;
  readonly prefetch?: number;
  readonly allowEviction?: boolean;
  readonly verbose?: boolean;
  readonly quiet?: boolean;
  readonly logLevel?: LogLevel;
  readonly args: boolean;
  readonly disableJobDescLogging?: boolean;
  readonly exceptionHandler?: readonly string[];
  readonly metricsPort?: number;
  readonly metricsHost?: string;
  readonly pid?: string;
  readonly logFormat: LogFormat;
}

/** `name` is what the program is called by. */
export function workerCommand(name: string): Command {
  return redisCommand(name, 'Runs the jobs of Redis queues. The order of the queues is their priority.')
    .argument('[queues...]', 'names of the queues to listen on', ['default'])
    .option(
      '-f, --functions <[prefix=]module>',
      'module whose exported functions jobs may call; repeatable',
      listed,
    )
    .option('--cron <module>', 'module whose list of crons is set at the start; repeatable', listed)
    .option('-c, --concurrency <n>', 'jobs that run at the same time', countFrom(1), 1)
    .option('-n, --name <name>', 'name of the worker (default: random)')
    .option('-b, --burst', 'end when the queues are empty')
    .addOption(new Option('-s, --with-scheduler', "RQ's flag: each worker here does that").hideHelp())
    .option('--max-jobs <n>', 'end after this many jobs', countFrom(1))
    .option('--max-idle-time <duration>', 'end after this long without a job (30, 5m, …)')
    .option('--results-ttl <duration>', 'how long results are kept by default (default: 500 s)')
    .option('--shutdown-timeout <duration>', 'how long a stop waits for running jobs (default: 25 s)')
    .option('--grace <duration>', 'how long a function may go on after its signal was aborted (default: 5 s)')
    .option('--lease <duration>', 'how long a job of a dead worker stays its own (default: 30 s)')
    .option('--max-recoveries <n>', 'how often a job of dead workers is run again (default: 3)', countFrom(0))
    .addOption(
      new Option('--dequeue-strategy <strategy>', 'order of the queues')
        .choices(['default', 'round_robin', 'random', 'weighted'])
        .default(undefined, 'default'),
    )
    .option('--weights <queue=n,…>', 'how often each queue is drawn beside the others', weightsFrom)
    .option(
      '--rate-limit <queue=rate>',
      'most jobs of a queue that begin in a time: mails=10/m; repeatable',
      rateFrom,
    )
    .option(
      '--prefetch <n>',
      'jobs taken ahead of free slots (default: those that begin within 5 ms)',
      countFrom(0),
    )
    .option('--allow-eviction', 'work on a Redis that may evict keys, and so lose jobs')
    .option('-v, --verbose', 'log more: the level debug')
    .addOption(new Option('-q, --quiet', 'log warnings and errors only: the level warn').conflicts('verbose'))
    .addOption(
      new Option('--log-level <level>', 'least level that is logged')
        .choices(LOG_LEVELS)
        .conflicts(['verbose', 'quiet'])
        .default(undefined, 'info'),
    )
    .option('--no-args', 'log no descriptions of jobs, and so no arguments')
    .option('--disable-job-desc-logging', "the same, as RQ's worker calls it")
    .option(
      '--exception-handler <module>',
      'module whose default export is called with (error, job) for each run that failed; repeatable',
      listed,
    )
    .option(
      '--metrics-port <port>',
      'serve /metrics for Prometheus, /healthz and /readyz there',
      countFrom(0),
    )
    .option('--metrics-host <host>', 'address that is served on (default: 127.0.0.1)')
    .option('--pid <file>', 'write the process id to this file')
    .addOption(
      new Option('--log-format <format>', 'format of the log').choices(['text', 'json']).default('text'),
    )
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      '\nDurations are seconds, or a number with ms, s, m, h or d. Exit codes: 0 stopped, 1 error, 2 wrong usage.',
    )
    .action(async (queues: readonly string[], flags: Flags) => {
      const logger = makeLogger(
        flags.logFormat,
        flags.logLevel ?? (flags.quiet === true ? 'warn' : flags.verbose === true ? 'debug' : 'info'),
      );
      try {
        await run(queues, flags, logger);
        // a job may have set its own
        process.exitCode = OK;
      } finally {
        logger.flush();
      }
    });
}

function listed(value: string, all: readonly string[] = []): readonly string[] {
  return [...all, value];
}

function weightsFrom(value: string): Record<string, number> {
  const weights = new Map<string, number>();
  for (const pair of value.split(',')) {
    const [, queue = '', n = ''] = /^([^=]+)=(\d+)$/.exec(pair) ?? [];
    if (queue === '' || Number(n) < 1)
      throw new InvalidArgumentError('It must be queues and whole numbers of 1 or more: high=5,low=1.');
    if (weights.has(queue)) throw new InvalidArgumentError(`It names the queue ${queue} twice.`);
    weights.set(queue, Number(n));
  }
  return Object.fromEntries(weights);
}

function rateFrom(value: string, all: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be a queue and a rate: mails=10/m.');
  const queue = value.slice(0, at);
  if (Object.hasOwn(all, queue)) throw new InvalidArgumentError(`The queue ${queue} has a rate already.`);
  return Object.fromEntries([...Object.entries(all), [queue, value.slice(at + 1)]]);
}

async function run(
  queues: readonly string[],
  flags: Flags,
  logger: ReturnType<typeof makeLogger>,
): Promise<void> {
  if (flags.functions === undefined)
    throw new Complaint('no functions: name at least one module with --functions', USAGE);
  if (flags.metricsHost !== undefined && flags.metricsPort === undefined)
    throw new Complaint('--metrics-host needs --metrics-port', USAGE);
  let written: string | undefined;
  let functions;
  let crons;
  const onError: ErrorHook[] = [];
  try {
    const warn = (text: string): void => logger.warn({}, text);
    functions = await loadFunctions(flags.functions, warn);
    crons = await loadCrons(flags.cron ?? [], queues[0], warn);
    for (const path of flags.exceptionHandler ?? []) onError.push(await loadErrorHook(path, warn));
  } catch (error) {
    // whatever the module threw: the usage was right
    throw new Complaint(messageOf(error), FAILED);
  }
  const worker = new Worker(queues, {
    functions,
    crons,
    logger,
    onError,
    ...(flags.metricsPort === undefined ? {} : { metrics: metricsOf(flags.metricsPort, flags.metricsHost) }),
    concurrency: flags.concurrency,
    ...(flags.prefetch === undefined ? {} : { prefetch: flags.prefetch }),
    ...(flags.dequeueStrategy === undefined ? {} : { dequeueStrategy: flags.dequeueStrategy }),
    ...(flags.weights === undefined ? {} : { weights: flags.weights }),
    ...(flags.rateLimit === undefined ? {} : { rateLimits: flags.rateLimit }),
    allowEviction: flags.allowEviction ?? false,
    logDescriptions: flags.args && flags.disableJobDescLogging !== true,
    ...(flags.url === undefined ? {} : { connection: flags.url }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.resultsTtl === undefined ? {} : { resultTtl: flags.resultsTtl }),
    ...(flags.grace === undefined ? {} : { grace: flags.grace }),
    ...(flags.lease === undefined ? {} : { lease: flags.lease }),
    ...(flags.maxRecoveries === undefined ? {} : { maxRecoveries: flags.maxRecoveries }),
    ...(flags.shutdownTimeout === undefined ? {} : { shutdownTimeout: flags.shutdownTimeout }),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void worker.stop());
  // a promise that a job left unhandled is that job's fault, and no reason to end the others
  process.on('unhandledRejection', reason => {
    const { name, message, stack } = reason instanceof Error ? reason : new Error(messageOf(reason));
    logger.error(
      { worker: worker.name, err: { type: name, message, stack } },
      'A promise that nobody waited for was rejected: is an await missing in a job?',
    );
  });
  try {
    if (flags.pid !== undefined) {
      writePid(flags.pid);
      written = flags.pid;
    }
    await worker.work({
      burst: flags.burst ?? false,
      ...(flags.maxJobs === undefined ? {} : { maxJobs: flags.maxJobs }),
      ...(flags.maxIdleTime === undefined ? {} : { maxIdleTime: flags.maxIdleTime }),
    });
  } finally {
    if (written !== undefined) rmSync(written, { force: true });
  }
}

function writePid(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (error) {
    throw new Complaint(`The file of --pid can't be written: ${messageOf(error)}`);
  }
}

function metricsOf(port: number, host: string | undefined): MetricsOptions {
  return host === undefined ? { port } : { port, host };
}
