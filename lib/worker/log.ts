/** A worker's log: each event as a level, a message in RQ's words, and fields in pino's. */
import type { EventEmitter } from 'node:events';
import { escapeControls, quote } from '../options.ts';
import { VERSION } from '../version.ts';
import type { JobEvent, WorkerEvents } from './events.ts';

/** Milliseconds in which the same error is logged once. */
const REPEAT_MS = 10_000;

/** Anything with pino's methods: fields first, then the message. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** @throws {TypeError} where it has not pino's methods. */
export function checkLogger(logger: Logger): Logger {
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof logger?.[level] !== 'function') {
      throw new TypeError(
        `logger must have pino's methods debug, info, warn and error, not ${quote(logger)}`,
      );
    }
  }
  return logger;
}

type Source = Pick<EventEmitter<WorkerEvents>, 'on'> & { readonly name: string };

/** Writes what happens to a worker to a logger. */
export function logTo(worker: Source, logger: Logger, descriptions: boolean): void {
  const own = { worker: worker.name };
  const repeated = makeRepeated();
  const of = ({ jobId, queue, functionName }: JobEvent): object => ({
    ...own,
    job_id: jobId,
    queue,
    function: functionName,
  });
  const title = ({ queue, jobId }: JobEvent, text: string): string =>
    escapeControls(`${queue}: ${text} (${jobId})`);

  worker
    .on('disconnected', error => logger.error(own, `${escapeControls(error.message)}; trying again`))
    .on('reconnected', () => logger.info(own, 'Connected to Redis again'))
    .on('started', name => logger.info(own, `Worker rq:worker:${name}: started, version ${VERSION}`))
    .on('subscribing', channel => logger.info(own, `Subscribing to channel ${channel}`))
    .on('listening', queues => logger.info(own, `*** Listening on ${queues.join(', ')}...`))
    .on('serving', url =>
      logger.info(own, `Metrics and health are served at ${url}/metrics, /healthz, /readyz`),
    )
    .on('cleaning', queue => logger.info({ ...own, queue }, `Cleaning registries for queue: ${queue}`))
    .on('jobStarted', job => logger.info(of(job), title(job, descriptions ? job.description : 'Job started')))
    .on('jobFinished', job => {
      logger.info({ ...of(job), duration_ms: Math.round(job.seconds * 1000) }, title(job, 'Job OK'));
      logger.info(of(job), kept(job.ttl));
    })
    .on('jobFailed', job => {
      const err = errorField(nameOf(job.error), messageOf(job.error), job.text);
      logger.error(
        { ...of(job), duration_ms: Math.round(job.seconds * 1000), err },
        title(job, 'Job failed'),
      );
    })
    .on('jobRetried', (job, when) => {
      const err = errorField(nameOf(job.error), messageOf(job.error), job.text);
      const text = when === 'queued' ? 'Job failed, enqueued for retry' : 'Job failed, scheduled for retry';
      logger.warn({ ...of(job), duration_ms: Math.round(job.seconds * 1000), err }, title(job, text));
    })
    .on('jobStopped', job => logger.info(of(job), title(job, 'Job stopped')))
    .on('callbackFailed', (job, { option, name, error }) => {
      const err = {
        type: nameOf(error),
        message: messageOf(error),
        stack: error instanceof Error ? error.stack : undefined,
      };
      logger.error({ ...of(job), err }, title(job, `${option} ${quote(name)} failed: ${messageOf(error)}`));
    })
    .on('jobReturned', job => logger.info(of(job), title(job, 'Job given back to the front of the queue')))
    .on('jobLost', job =>
      logger.warn(of(job), title(job, 'This run is not the job’s any more, its outcome was dropped')),
    )
    .on('jobOverdue', job =>
      logger.warn(of(job), title(job, 'Its function does not end: its slot was given up')),
    )
    .on('jobDropped', ({ jobId, queue, reason }) => {
      const level = reason === 'gone' ? 'debug' : 'warn';
      const fields = { ...own, job_id: jobId, queue };
      logger[level](
        fields,
        `${queue}: Dropped id ${escapeControls(jobId).slice(0, 200)}: ${escapeControls(reason)}`,
      );
    })
    .on('recovered', (queue, ids) =>
      logger.warn(
        { ...own, queue, job_ids: ids },
        `${queue}: Taken back from a worker that is gone: ${escapeControls(ids.join(', '))}`,
      ),
    )
    .on('abandoned', (queue, ids) =>
      logger.error(
        { ...own, queue, job_ids: ids },
        `${queue}: Abandoned too often, failed: ${escapeControls(ids.join(', '))}`,
      ),
    )
    .on('cronSet', ({ name, queue, pattern, timezone, nextRunAt }) =>
      logger.info(
        { ...own, queue, cron: name },
        escapeControls(
          `${queue}: Cron ${name} (${pattern}, ${timezone}) comes next at ${nextRunAt?.toISOString() ?? 'no time'}`,
        ),
      ),
    )
    .on('cronQueued', ({ name, queue, jobId }) =>
      logger.info(
        { ...own, queue, cron: name, job_id: jobId },
        escapeControls(`${queue}: Cron ${name} queued (${jobId})`),
      ),
    )
    .on('suspended', () => logger.info(own, 'Work is suspended: no new job is taken until it is resumed'))
    .on('resumed', () => logger.info(own, 'Work is resumed'))
    .on('queuePaused', queue =>
      logger.info({ ...own, queue }, `${queue}: Paused: nothing is taken from it until it is resumed`),
    )
    .on('queueResumed', queue => logger.info({ ...own, queue }, `${queue}: Resumed`))
    .on('warning', text => logger.warn(own, escapeControls(text)))
    .on('error', error => {
      if (repeated(error.message)) return;
      logger.error(
        { ...own, err: errorField(error.name, error.message, error.stack ?? '') },
        escapeControls(error.message),
      );
    })
    .on('stopping', kind =>
      logger.info(
        own,
        kind === 'warm'
          ? 'Warm shut down requested: running jobs may finish'
          : 'Cold shut down: running jobs are given back',
      ),
    )
    .on('stopped', () => logger.info(own, 'Stopped'));
}

/** Says whether a text came within the last seconds: what goes wrong goes wrong at every try, and is logged now and then. */
function makeRepeated(): (text: string) => boolean {
  const said = new Map<string, number>();
  return text => {
    const now = performance.now();
    for (const [each, at] of said) if (now - at >= REPEAT_MS) said.delete(each);
    if (said.has(text)) return true;
    said.set(text, now);
    return false;
  };
}

function kept(ttl: number): string {
  if (ttl === 0) return 'Result discarded immediately';
  return ttl < 0
    ? 'Result will never expire, clean up result key manually'
    : `Result is kept for ${ttl} seconds`;
}

/**
 * An error as pino writes one. pino itself reads the name off what has no constructor, and that of the constructor else:
 * each error would be an `Object`.
 */
export function errorField(type: string, message: string, stack: string): object {
  const err = Object.assign(Object.create(null) as object, { type, message, stack });
  return Object.defineProperty(err, 'name', { value: type });
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
