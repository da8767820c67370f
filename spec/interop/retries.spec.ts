import { describe, expect, it } from 'vitest';
import { getCurrentJob } from '../../lib/index.ts';
import { RUNNERS, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

interface Plan {
  readonly status: string | null;
  readonly left: string | null;
  readonly intervals: string | null;
  /** Seconds until it is due, where it is scheduled. */
  readonly due: number | undefined;
  readonly places: readonly string[];
}

describe.each(VERSIONS)('A retry plan that Python RQ %s wrote', version => {
  const { redis, python, q, work, workAs, worker, ids } = useBoth(version);

  const enqueue = (call: string): Promise<string> => python.run<string>(`out = queue().enqueue(${call}).id`);
  const field = (id: string, name: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, name);
  const plan = async (id: string): Promise<Plan> => {
    const [status = null, left = null, intervals = null] = await redis.client.hmget(
      `rq:job:${id}`,
      'status',
      'retries_left',
      'retry_intervals',
    );
    const score = await redis.client.zscore('rq:scheduled:default', id);
    const places: string[] = [];
    for (const kind of ['queue', 'wip', 'finished', 'failed', 'deferred', 'scheduled', 'canceled'])
      for (const member of await ids(`rq:${kind}:default`)) if (member.startsWith(id)) places.push(kind);
    return {
      status,
      left,
      intervals,
      places,
      due: score === null ? undefined : Math.round((Number(score) - Date.now() / 1000) / 10) * 10,
    };
  };
  const queued = (left: number, intervals: string): Plan => ({
    status: 'queued',
    left: String(left),
    intervals,
    due: undefined,
    places: ['queue'],
  });
  const failed = (intervals: string): Plan => ({
    status: 'failed',
    left: '0',
    intervals,
    due: undefined,
    places: ['failed'],
  });
  const scheduled = (left: number, intervals: string, due: number): Plan => ({
    status: 'scheduled',
    left: String(left),
    intervals,
    due,
    places: ['scheduled'],
  });
  /** Its time has come: Python's scheduler queues it. */
  const queueDue = async (id: string): Promise<void> => {
    await redis.client.zadd('rq:scheduled:default', 1, id);
    await python.run(
      's = RQScheduler(["default"], c, serializer=JSONSerializer); s.prepare_registries(["default"]); s.enqueue_scheduled_jobs()',
    );
  };

  // what RQ's own worker does to a job is what ours is held to
  describe.each(RUNNERS)('and a %s worker carries out', runner => {
    const once = (): Promise<void> => workAs(runner, { maxJobs: 1 });

    it('queues the job at once as often as it says, and then lets it fail', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=2)');
      const seen: Plan[] = [];
      for (let n = 0; n < 3; n++) {
        await once();
        seen.push(await plan(id));
      }
      expect(seen).toEqual([queued(1, '[0]'), queued(0, '[0]'), failed('[0]')]);
    });

    it('runs it so often within one burst', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=3)');
      await workAs(runner);
      expect(await plan(id)).toEqual(failed('[0]'));
    });

    it('schedules it by the intervals, the first of which stands for those that are missing', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=3, interval=[100, 200])');
      const intervals = '[100, 200]';
      const seen: Plan[] = [];
      for (let n = 0; n < 4; n++) {
        await once();
        seen.push(await plan(id));
        if (n < 3) await queueDue(id);
      }
      expect(seen).toEqual([
        scheduled(2, intervals, 100),
        scheduled(1, intervals, 100),
        scheduled(0, intervals, 200),
        failed(intervals),
      ]);
    });

    it('uses the last intervals of a list that is longer than it needs', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=2, interval=[100, 200, 300])');
      await once();
      expect(await plan(id)).toEqual(scheduled(1, '[100, 200, 300]', 200));
      await queueDue(id);
      await once();
      expect(await plan(id)).toEqual(scheduled(0, '[100, 200, 300]', 300));
    });

    it('takes one number for all', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=2, interval=50)');
      await once();
      expect(await plan(id)).toEqual(scheduled(1, '[50]', 50));
    });

    it('queues it at once where the interval is 0, and schedules it where it is not', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=2, interval=[0, 100])');
      await once();
      expect(await plan(id)).toEqual(queued(1, '[0, 100]'));
      await once();
      expect(await plan(id)).toEqual(scheduled(0, '[0, 100]', 100));
    });

    it('is due at a whole second, no later than its interval says', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=1, interval=100)');
      const before = Date.now() / 1000;
      await once();
      const score = Number(await redis.client.zscore('rq:scheduled:default', id));
      expect(Number.isInteger(score)).toBe(true);
      expect(score).toBeGreaterThanOrEqual(Math.floor(before + 100) - 1);
      expect(score).toBeLessThanOrEqual(Date.now() / 1000 + 100);
      expect(await python.run('out = queue().scheduled_job_registry.get_job_ids()')).toEqual([id]);
    });

    it.each([
      [true, 'front'],
      [false, 'end'],
    ])('where enqueue_at_front is %s, queues it at the %s', async front => {
      const id = await enqueue(
        `"tasks.fail", retry=Retry(max=1, enqueue_at_front=${front ? 'True' : 'False'})`,
      );
      const waiting = await enqueue('"tasks.add", 1, 2');
      await once();
      expect(await q.getJobIds()).toEqual(front ? [id, waiting] : [waiting, id]);
    });

    it('keeps what else the job has', async () => {
      const id = await enqueue(
        '"tasks.fail", "why", meta={"a": 1}, description="what for", job_timeout=70, result_ttl=80, failure_ttl=90, ' +
          'retry=Retry(max=2, enqueue_at_front=True)',
      );
      await once();
      expect(
        await python.run(
          'j = job(id); out = [j.args, j.meta, j.description, j.timeout, j.result_ttl, j.failure_ttl, ' +
            'j.enqueue_at_front_on_retry, j.number_of_retries, j.origin]',
          { id },
        ),
      ).toEqual([['why'], { a: 1 }, 'what for', 70, 80, 90, true, null, 'default']);
      expect(await redis.client.ttl(`rq:job:${id}`)).toBe(-1);
    });

    it.each([0, 1000])(
      'gives it its ttl again for the time that it waits, with an interval of %d',
      async interval => {
        const id = await enqueue(`"tasks.fail", ttl=600, retry=Retry(max=1, interval=${interval})`);
        await once();
        expect(await redis.client.ttl(`rq:job:${id}`)).toBeGreaterThan(590);
      },
    );

    it('writes no result for a run that is retried, and one at the end', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=2)');
      await once();
      expect(await python.run('out = job(id).results()', { id })).toEqual([]);
      await once();
      await once();
      expect(await python.run('out = [r.type.name for r in job(id).results()]', { id })).toEqual(['FAILED']);
    });

    it('does not retry a job that ended well', async () => {
      const id = await enqueue('"tasks.add", 1, 2, retry=Retry(max=2)');
      await workAs(runner);
      expect(await plan(id)).toMatchObject({ status: 'finished', left: '2', places: ['finished'] });
    });

    it('is over where no retry is left from the start', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=1)');
      await redis.client.hset(`rq:job:${id}`, 'retries_left', '0');
      await workAs(runner);
      expect(await plan(id)).toEqual(failed('[0]'));
    });

    it('gives a job that was requeued no retries anew', async () => {
      const id = await enqueue('"tasks.fail", retry=Retry(max=1)');
      await workAs(runner);
      await (runner === 'Node' ? q.failedRegistry.requeue(id) : python.run('job(id).requeue()', { id }));
      await once();
      expect(await plan(id)).toEqual(failed('[0]'));
    });
  });

  it('is carried out within one burst of a worker that has slots to spare', async () => {
    const id = await enqueue('"tasks.fail", retry=Retry(max=3)');
    await work({ options: { concurrency: 5 } });
    expect(await plan(id)).toEqual(failed('[0]'));
  });

  it('goes on where the other language left off', async () => {
    const id = await enqueue('"tasks.fail", retry=Retry(max=3)');
    for (const runner of ['Python', 'Node', 'Python'] as const) await workAs(runner, { maxJobs: 1 });
    expect(await plan(id)).toEqual(queued(0, '[0]'));
    await work({ functions: { 'tasks.fail': () => 'well at last' } });
    expect(await plan(id)).toMatchObject({ status: 'finished', left: '0' });
    expect(await python.run('out = job(id).return_value()', { id })).toBe('well at last');
    expect(await (await q.fetchJob(id))?.result).toBe('well at last');
  });

  it('counts as not ended here while the job waits for its next run', async () => {
    const id = await enqueue('"tasks.fail", retry=Retry(max=1, interval=100)');
    await work();
    const job = await q.fetchJob(id);
    expect(job).toMatchObject({ status: 'scheduled', retriesLeft: 0 });
    expect(await job?.result).toBeUndefined();
  });

  it('is told by the worker, as a retry and not as a failure', async () => {
    await enqueue('"tasks.fail", retry=Retry(max=1)');
    const told: string[] = [];
    await worker()
      .on('jobRetried', (job, when) => told.push(`retried ${when}: ${String(job.error)}`))
      .on('jobFailed', job => told.push(`failed: ${String(job.error)}`))
      .work({ burst: true });
    expect(told).toEqual(['retried queued: RangeError: on purpose', 'failed: RangeError: on purpose']);
  });

  it('holds for a job that ran out of time', async () => {
    const id = await enqueue('"slow", job_timeout=1, retry=Retry(max=1, interval=100)');
    const slow = (): Promise<void> =>
      new Promise((_, reject) => {
        const { signal } = getCurrentJob()!;
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    await work({ functions: { slow } });
    expect(await plan(id)).toEqual(scheduled(0, '[100]', 100));
  });

  it('does not hold for a job that was stopped', async () => {
    const id = await enqueue('"held", retry=Retry(max=2)');
    const held = (): Promise<void> =>
      new Promise((_, reject) => {
        const { signal } = getCurrentJob()!;
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const worked = worker({ held }).work({ burst: true });
    await expect.poll(() => field(id, 'status')).toBe('started');
    await python.run('send_stop_job_command(c, id, serializer=JSONSerializer)', { id });
    await worked;
    expect(await plan(id)).toMatchObject({ status: 'stopped', left: '2', places: ['failed'] });
  });

  describe.each(RUNNERS)('of a Python run that was abandoned, swept by %s,', sweeper => {
    /** A run whose worker is not heard of any more. */
    const abandon = (options: string): Promise<string> =>
      python.run<string>(`
from rq.executions import Execution
j = queue().enqueue("tasks.add", 1, 2${options})
c.lrem("rq:queue:default", 0, j.id)
with c.pipeline() as p:
    j.prepare_for_execution("gone", p)
    execution = Execution.create(j, 60, p)
    p.execute()
c.zadd("rq:wip:default", {execution.composite_key: 1})
out = j.id`);
    const sweep = async (): Promise<void> => {
      if (sweeper === 'Python') await python.run('queue().started_job_registry.cleanup()');
      else await work({ queues: 'default', functions: { 'tasks.add': () => 'ran' }, maxJobs: 1 });
    };

    it('is followed: the job is scheduled', async () => {
      const id = await abandon(', retry=Retry(max=2, interval=100)');
      await sweep();
      expect(await plan(id)).toEqual(scheduled(1, '[100]', 100));
    });

    it('is followed: the job is queued', async () => {
      const id = await abandon(', retry=Retry(max=2)');
      await sweep();
      // ours goes on to run what it has queued
      expect(await plan(id)).toMatchObject(
        sweeper === 'Python' ? queued(1, '[0]') : { status: 'finished', left: '1', places: ['finished'] },
      );
    });

    it('is not there: the job failed', async () => {
      const id = await abandon('');
      await sweep();
      expect(await plan(id)).toMatchObject({ status: 'failed', left: null, places: ['failed'] });
      expect(await python.run('out = job(id).exc_info', { id })).toContain('AbandonedJobError');
    });
  });
});
