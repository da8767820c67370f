/** Every default in one place, each with its unit. Durations are seconds unless the name says otherwise. */

/** How long a job may run: RQ's `Queue.DEFAULT_TIMEOUT`. */
export const TIMEOUT = 180;
/** How long a result is kept: RQ's `DEFAULT_RESULT_TTL`. */
export const RESULT_TTL = 500;
/** How long a failed, stopped or canceled job is kept. RQ keeps it a year; failures that fill Redis are an old complaint. */
export const FAILURE_TTL: number = 30 * 24 * 3600;

/** Milliseconds between two writes of a run's progress, and the most that its end waits for the last one. */
export const PROGRESS_MS = 250;
export const PROGRESS_FLUSH_MS = 1_000;
/** Characters that the text of a progress is cut to. */
export const PROGRESS_TEXT = 1_000;
/** How long a callback may take: RQ's `CALLBACK_TIMEOUT`. */
export const CALLBACK_TIMEOUT = 60;
/** How long a unique call's key is kept that nobody asks for; whether its job has ended is looked at each time. */
export const UNIQUE_TTL: number = 30 * 24 * 3600;

/** What every key begins with. */
export const PREFIX = 'rq';
/** The queue of a `new Queue()` and of `rq-worker` without arguments. */
export const QUEUE = 'default';
/** Where Redis is when neither an option nor `RQ_REDIS_URL` says. */
export const REDIS_URL = 'redis://127.0.0.1:6379';

/** Milliseconds a producer's call may take to get a connection, and again to get its reply. */
export const DEADLINE_MS = 5_000;
/** Most jobs that one enqueue script adds: few, so that Redis works on some while the caller prepares the next ones. */
export const ENQUEUE_BATCH = 100;
/** Characters of jobs' data with which one enqueue script is full. */
export const ENQUEUE_LENGTH: number = 256 * 1024;
/** Enqueue scripts under way with which a queue's next one waits for an answer, and the most milliseconds that it waits. */
export const ENQUEUE_CALM: { readonly calls: number; readonly ms: number } = { calls: 2, ms: 20 };
/** Milliseconds between two looks of a waiter at a job that no message came for. */
export const WAIT_RECHECK_MS = 5_000;

/** Jobs that one worker runs at a time. */
export const CONCURRENCY = 1;
/** Most jobs that one advance takes. */
export const ADVANCE_BATCH = 500;
/**
 * Jobs are taken ahead of free slots, without being asked to, where they begin within so many milliseconds, and no more
 * than so many.
 */
export const MOMENT_MS = 5;
export const MOST_AHEAD = 100;
/** How long a run is the worker's own without a renewal. It is renewed, and the worker heard of, three times as often. */
export const LEASE = 30;
/** Added to a lease's end in the registry's score, so that Python's sweeps never come before ours. */
export const LEASE_MARGIN = 60;
/** The shortest lease: renewals, and a busy event loop, need room in it. */
export const LEAST_LEASE = 3;
/** How much longer than a lease a worker's hash outlives its last heartbeat. */
export const WORKER_TTL_MARGIN = 10;
/** Milliseconds between two looks whether the worker's state is to be written anew. */
export const REPORT_MS = 1_000;
/** Milliseconds between two sweeps of a queue, whichever worker does them. */
export const SWEEP_MS = 5_000;
/** Most members of a registry that one sweep script looks at. */
export const SWEEP_BATCH = 200;
/** Milliseconds between two looks whether a run exceeds its timeout. */
export const WATCH_MS = 100;
/** Milliseconds between two looks at the scheduled jobs, and the most of a queue that one script queues. */
export const DUE_MS = 500;
export const DUE_BATCH = 200;
/** The time zone of crons that name none. */
export const TIMEZONE = 'UTC';
/** Seconds by which a tick is late when it counts as missed: one that is less late is run by itself. */
export const CRON_PATIENCE = 60;
/** Most crons of a queue that one look brings. */
export const CRON_BATCH = 100;
/** Most dependents that one script queues. */
export const RELEASE_BATCH = 200;
/** How long overdue an id without a scheduled job is when it is dropped: RQ adds the id before it writes the hash. */
export const DUE_PATIENCE = 60;
/** Pub/sub channels of a Redis, up to which a worker looks at all of them at once instead of at each job's own. */
export const FEW_CHANNELS = 40;
/** How often a job may be lost to dead workers before it is given up. */
export const MAX_RECOVERIES = 3;
/**
 * Milliseconds in which a worker starts nothing beside a job that was lost twice. What takes its worker down does so soon as
 * a rule, and would take other jobs down with it until they are given up as well.
 */
export const PROBATION_MS = 10_000;
/** How long a function may go on after its signal was aborted, before its slot is given up. */
export const GRACE = 5;
/** How long a warm stop waits for running jobs. */
export const SHUTDOWN_TIMEOUT = 25;
/** Milliseconds without a reply after which a worker's link counts as dead. */
export const REPLY_MS = 15_000;
/**
 * An outcome that Redis did not take so often is sent by itself from then on, and given up after so many times, while Redis
 * takes what else the worker sends.
 */
export const OUTCOME_ALONE = 3;
export const OUTCOME_TRIES = 20;
/** Characters of outcomes that a worker keeps for Redis before it takes no more jobs. */
export const OUTCOMES_KEPT: number = 64 * 1024 * 1024;
/** How long one blocking read waits at the server. */
export const BLOCK = 10;
/** Milliseconds to the first retry after an error of Redis, doubled each time up to the second. */
export const BACKOFF_MS: readonly [first: number, most: number] = [50, 5_000];

/** Bytes that a job's compressed `data` may inflate to. */
export const INFLATE_LIMIT: number = 64 * 1024 * 1024;
/** How deep JSON may nest. Python's own parser stops at about a thousand levels. */
export const JSON_DEPTH = 500;
/** Characters of a generated description. */
export const DESCRIPTION_LENGTH = 200;
/** Characters of JSON that a result may have. Redis takes no more than 512 MB at a time, and copies it more than once. */
export const RESULT_LIMIT: number = 64 * 1024 * 1024;
/** Results longer than this many bytes are not sent with the status message; the waiter reads them. */
export const PUBLISH_LIMIT: number = 64 * 1024;
/** Errors of earlier runs that a job's hash keeps, and the bytes of each. */
export const ERRORS_KEPT = 10;
export const ERROR_BYTES = 4096;
