/** The public names, and nothing else. */
export type {
  Arg,
  Args,
  Chain,
  ChainJob,
  ChainStep,
  CronRest,
  EnqueueCall,
  EnqueueRest,
  ResultOf,
} from './arguments.ts';
export type { Callback, CallbackOption, CallbackOptions } from './callback.ts';
export type { CleanOptions, CleanReport, EndedStatus, Orphan, StrayIds } from './clean.ts';
export type { ConnectionOption } from './connection.ts';
export { CurrentJob, getCurrentJob } from './current-job.ts';
export type { CronEntry, CronJob, CronOptions } from './cron.ts';
export type { Task } from './delay.ts';
export type { Dependencies, DependsOn } from './dependency.ts';
export type { DoctorOptions, Promised } from './doctor.ts';
export type { Duration } from './duration.ts';
export type { ConcurrencyLimit, EnqueueOptions } from './enqueue-options.ts';
export * from './errors.ts';
export type { Finding, Severity } from './finding.ts';
export type { FunctionSource, TaskFunction, TaskOptions } from './functions.ts';
export { Group, type GroupCounts } from './group.ts';
export { Job } from './job.ts';
export type { CancelOptions } from './cancel.ts';
export type { Json } from './json.ts';
export type { MetricsOptions } from './metrics/options.ts';
export type { MemoryOptions, MemoryReport, PlaceMemory } from './memory.ts';
export type { Failure, Overview, QueueOverview } from './overview.ts';
export { Queue } from './queue.ts';
export type { EmptyOptions, QueueOptions } from './queue.ts';
export type { Rate } from './rate.ts';
export type { Reference } from './reference.ts';
export type { RepeatOptions } from './repeat-plan.ts';
export type { Progress } from './progress.ts';
export type { JobStatus } from './record.ts';
export type { JobResult } from './results.ts';
export { NonRetryableError, Retry } from './retry.ts';
export type { RetryOptions } from './retry-plan.ts';
export type { Role } from './rights.ts';
export { Registry } from './registry.ts';
export type { QueueStats } from './stats.ts';
export type { StatusMessage } from './status.ts';
export { Rq, type QueueCounts, type RqOptions, type WorkerInfo } from './rq.ts';
export { ScheduledRegistry } from './scheduled-registry.ts';
export { task } from './task.ts';
export type { UniqueOptions } from './unique.ts';
export { VERSION } from './version.ts';
export type { ErrorHook } from './worker/error-hooks.ts';
export { loadCrons } from './worker/load-crons.ts';
export { loadErrorHook, loadFunctions } from './worker/load.ts';
export type { FailedCallback, JobEndEvent, JobEvent, JobFailedEvent, WorkerEvents } from './worker/events.ts';
export type { Logger } from './worker/log.ts';
export { Worker } from './worker/worker.ts';
export type { WorkerOptions } from './worker/settings.ts';
export type { WorkOptions } from './worker/worker.ts';
export type { DequeueStrategy } from './advance.ts';
