import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../lib/version.ts';
import type { JobEvent, WorkerEvents } from '../../lib/worker/events.ts';
import { logTo, type Logger } from '../../lib/worker/log.ts';

interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

class FakeWorker extends EventEmitter<WorkerEvents> {
  readonly name = 'w1';
}

/** What `logTo` writes for one event. */
function linesOf<E extends keyof WorkerEvents>(
  event: E,
  args: WorkerEvents[E],
  descriptions: boolean = true,
): Line[] {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      void lines.push({ level, fields: { ...fields }, message });
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const worker = new FakeWorker();
  logTo(worker, logger, descriptions);
  // the argument types of an event that is a type parameter are more than the compiler follows
  (worker.emit as (event: string, ...args: readonly unknown[]) => boolean).call(worker, event, ...args);
  return lines;
}

const said = (lines: readonly Line[]): string[] => lines.map(({ level, message }) => `${level} ${message}`);

const job: JobEvent = {
  jobId: '46526c77',
  queue: 'default',
  executionId: 'n1',
  functionName: 'sum',
  description: 'sum([42, 43])',
  waited: 0.1,
};

describe('logTo: the life of a worker', () => {
  it.each<readonly [keyof WorkerEvents, WorkerEvents[keyof WorkerEvents], string]>([
    ['started', ['w1'], `info Worker rq:worker:w1: started, version ${VERSION}`],
    ['subscribing', ['rq:pubsub:w1'], 'info Subscribing to channel rq:pubsub:w1'],
    [
      'cronSet',
      [
        {
          name: 'report',
          queue: 'q',
          pattern: '@daily',
          timezone: 'UTC',
          missed: 'once',
          description: 'report()',
          nextRunAt: new Date(0),
          lastRunAt: undefined,
          lastJobId: undefined,
        },
      ],
      'info q: Cron report (@daily, UTC) comes next at 1970-01-01T00:00:00.000Z',
    ],
    ['cronQueued', [{ name: 're\nport', queue: 'q', jobId: 'id' }], 'info q: Cron re\\x0aport queued (id)'],
    ['listening', [['default', 'http']], 'info *** Listening on default, http...'],
    ['cleaning', ['default'], 'info Cleaning registries for queue: default'],
    ['stopping', ['warm'], 'info Warm shut down requested: running jobs may finish'],
    ['stopping', ['cold'], 'info Cold shut down: running jobs are given back'],
    ['stopped', [], 'info Stopped'],
    ['suspended', [], 'info Work is suspended: no new job is taken until it is resumed'],
    ['resumed', [], 'info Work is resumed'],
    ['disconnected', [new Error('Gone')], 'error Gone; trying again'],
    ['reconnected', [], 'info Connected to Redis again'],
    ['warning', ['Careful'], 'warn Careful'],
    ['error', [new Error('Oh')], 'error Oh'],
  ])('says %s in RQ’s words', (event, args, expected) => {
    expect(said(linesOf(event, args))).toEqual([expected]);
  });

  it('puts the worker’s name into each line’s fields', () => {
    expect(linesOf('stopped', [])[0]?.fields).toEqual({ worker: 'w1' });
  });
});

describe('logTo: jobs', () => {
  it('describes a job that starts', () => {
    const [line] = linesOf('jobStarted', [job]);
    expect(line).toEqual({
      level: 'info',
      message: 'default: sum([42, 43]) (46526c77)',
      fields: { worker: 'w1', job_id: '46526c77', queue: 'default', function: 'sum' },
    });
  });

  it('shows no arguments where descriptions are off', () => {
    expect(said(linesOf('jobStarted', [job], false))).toEqual(['info default: Job started (46526c77)']);
  });

  it.each([
    [500, 'Result is kept for 500 seconds'],
    [-1, 'Result will never expire, clean up result key manually'],
    [0, 'Result discarded immediately'],
  ])('says of a result with ttl %i: %s', (ttl, kept) => {
    const lines = linesOf('jobFinished', [{ ...job, seconds: 1.2345, ttl }]);
    expect(said(lines)).toEqual(['info default: Job OK (46526c77)', `info ${kept}`]);
    expect(lines[0]?.fields).toMatchObject({ duration_ms: 1235, job_id: '46526c77' });
  });

  it('logs a failure as an error, with pino’s err', () => {
    const error = new RangeError('too far');
    const [line] = linesOf('jobFailed', [{ ...job, seconds: 0.5, ttl: 60, error, text: 'the stack' }]);
    expect(line).toMatchObject({
      level: 'error',
      message: 'default: Job failed (46526c77)',
      fields: { duration_ms: 500, err: { type: 'RangeError', message: 'too far', stack: 'the stack' } },
    });
  });

  it('logs a failure that is no Error', () => {
    const [line] = linesOf('jobFailed', [{ ...job, seconds: 0, ttl: 60, error: 'text', text: 't' }]);
    expect(line?.fields['err']).toEqual({ type: 'string', message: 'text', stack: 't' });
  });

  it.each([
    ['jobStopped', 'info default: Job stopped (46526c77)'],
    ['jobReturned', 'info default: Job given back to the front of the queue (46526c77)'],
    ['jobLost', 'warn default: This run is not the job’s any more, its outcome was dropped (46526c77)'],
    ['jobOverdue', 'warn default: Its function does not end: its slot was given up (46526c77)'],
  ] as const)('says %s', (event, expected) => {
    expect(said(linesOf(event, [{ ...job, seconds: 0, ttl: 0 }]))).toEqual([expected]);
  });

  it('notes an expired job quietly, and any other dropped id as a warning', () => {
    const drop = { jobId: 'x', queue: 'q' };
    expect(said(linesOf('jobDropped', [{ ...drop, reason: 'gone' }]))).toEqual([
      'debug q: Dropped id x: gone',
    ]);
    expect(said(linesOf('jobDropped', [{ ...drop, reason: 'not a hash' }]))).toEqual([
      'warn q: Dropped id x: not a hash',
    ]);
  });

  it('names jobs that were recovered, and those that were abandoned', () => {
    expect(said(linesOf('recovered', ['q', ['a', 'b']]))).toEqual([
      'warn q: Taken back from a worker that is gone: a, b',
    ]);
    expect(said(linesOf('abandoned', ['q', ['a']]))).toEqual(['error q: Abandoned too often, failed: a']);
  });
});

describe('logTo: control characters', () => {
  const bad = 'a\nb\u001b[31m\u009bc';
  const escaped = 'a\\x0ab\\x1b[31m\\x9bc';

  it.each<readonly [keyof WorkerEvents, WorkerEvents[keyof WorkerEvents]]>([
    ['jobStarted', [{ ...job, description: bad }]],
    ['jobDropped', [{ jobId: bad, queue: 'q', reason: 'gone' }]],
    ['jobDropped', [{ jobId: 'x', queue: 'q', reason: bad }]],
    ['warning', [bad]],
    ['disconnected', [new Error(bad)]],
    ['error', [new Error(bad)]],
    ['recovered', ['q', [bad]]],
    ['abandoned', ['q', [bad]]],
    ['jobFinished', [{ ...job, jobId: bad, seconds: 0, ttl: 1 }]],
  ])('of the message of %s are escaped', (event, args) => {
    const [line] = linesOf(event, args);
    expect(line?.message).toContain(escaped);
    // oxlint-disable-next-line no-control-regex
    expect(line?.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });

  it('shortens an id that is very long', () => {
    const [line] = linesOf('jobDropped', [{ jobId: 'x'.repeat(10_000), queue: 'q', reason: 'gone' }]);
    expect(line?.message.length).toBeLessThan(300);
  });
});
