/** What functions ask for, in both languages: `Retry` thrown here and returned there, and the fields that only we know. */
import { describe, expect, it, vi } from 'vitest';
import { JobStoppedError, NonRetryableError, Retry, type Job, type JobResult } from '../../lib/index.ts';
import { useBoth } from './both.ts';
import { PythonWorker, rq, VERSIONS } from './python.ts';

const asking = (options: ConstructorParameters<typeof Retry>[0]) => (): never => {
  throw new Retry(options);
};

describe.each(VERSIONS)('A run that a function asks for, with Python RQ %s', version => {
  const { redis, python, q, work, workAs, ids } = useBoth(version);

  const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
  const enqueue = (call: string): Promise<string> => python.run<string>(`out = queue().enqueue(${call}).id`);
  const results = async (id: string): Promise<JobResult[]> => ((await q.fetchJob(id)) as Job).results();
  const types = async (id: string): Promise<string[]> => (await results(id)).map(({ type }) => type);
  const theirs = (id: string): Promise<unknown> =>
    python.run('out = [r.type.name for r in job(id).results()]', { id });
  const counted = (id: string): Promise<unknown> => python.run('out = job(id).number_of_retries', { id });

  describe('on a job that Python enqueued and Node runs', () => {
    it('is counted where Python counts, and told of in both languages once it is over', async () => {
      const id = await enqueue('"tasks.add", 1, 2');
      const functions = { 'tasks.add': asking({ max: 2, cause: new Error('429') }) };
      await work({ functions, maxJobs: 1 });
      expect(await counted(id)).toBe(1);
      expect(await ids('rq:queue:default')).toEqual([id]);
      expect(await theirs(id)).toEqual([]);
      expect(await types(id)).toEqual(['failed']);
      await work({ functions });
      expect(await counted(id)).toBe(2);
      expect(await python.run('out = [job(id).is_failed, job(id).exc_info]', { id })).toEqual([
        true,
        expect.stringMatching(/^Retry: The job asked to run again[^]*\[cause\]: Error: 429/),
      ]);
      expect(await theirs(id)).toEqual(['FAILED']);
      expect(await types(id)).toEqual(['failed', 'failed', 'failed']);
    });

    it('is scheduled as Python schedules, and run by it', async () => {
      const id = await enqueue('"tasks.add", 1, 2');
      await work({ functions: { 'tasks.add': asking({ delay: '1h' }) } });
      expect(await python.run('out = job(id).get_status()', { id })).toBe('scheduled');
      expect(await python.run('out = queue().scheduled_job_registry.get_job_ids()')).toEqual([id]);
      await redis.client.zadd('rq:scheduled:default', 1, id);
      await python.run(
        's = RQScheduler(["default"], c, serializer=JSONSerializer); s.prepare_registries(["default"]); s.enqueue_scheduled_jobs()',
      );
      await workAs('Python');
      expect(await python.run('out = job(id).return_value()', { id })).toBe(3);
      expect(await types(id)).toEqual(['successful', 'failed']);
      expect((await results(id)).map(({ returnValue, error }) => returnValue ?? error?.name)).toEqual([
        3,
        'Retry',
      ]);
    });

    it('leaves the plan that Python wrote alone, as does an error that is not retried', async () => {
      const id = await enqueue('"tasks.add", 1, 2, retry=Retry(max=2, interval=60)');
      const functions = { 'tasks.add': asking({ max: 1 }) };
      await work({ functions });
      expect(await python.run('out = [job(id).retries_left, job(id).number_of_retries]', { id })).toEqual([
        2, 1,
      ]);
      await python.run('job(id).requeue()', { id });
      const refuse = (): never => {
        throw new NonRetryableError('no use');
      };
      await work({ functions: { 'tasks.add': refuse } });
      expect(await python.run('out = [job(id).retries_left, job(id).get_status()]', { id })).toEqual([
        2,
        'failed',
      ]);
    });
  });

  describe('and that Python returned', () => {
    it('is counted together with those that were thrown here', async () => {
      const id = await enqueue('"tasks.again", 0');
      await workAs('Python', { maxJobs: 1 });
      expect(await hash(id)).toMatchObject({ status: 'queued', number_of_retries: '1' });
      expect(await types(id)).toEqual(['retried']);
      const functions = { 'tasks.again': asking({ max: 2 }) };
      await work({ functions, maxJobs: 1 });
      expect(await hash(id)).toMatchObject({ status: 'queued', number_of_retries: '2' });
      await work({ functions, maxJobs: 1 });
      expect(await hash(id)).toMatchObject({ status: 'failed', number_of_retries: '2' });
      expect(await types(id)).toEqual(['failed', 'failed', 'retried']);
    });

    it('counts those that were thrown here', async () => {
      const id = await enqueue('"tasks.again", 0');
      await work({ functions: { 'tasks.again': asking({ max: 5 }) }, maxJobs: 1 });
      // its Retry has a max of 1
      await workAs('Python', { maxJobs: 1 });
      expect(await python.run('out = job(id).get_status()', { id })).toBe('failed');
      expect(await theirs(id)).toEqual(['MAX_RETRIES_EXCEEDED']);
      expect(await types(id)).toEqual(['max_retries_exceeded', 'failed']);
    });

    it('of a job that Node enqueued is read by both', async () => {
      const { id } = await q.enqueue('tasks.again', [0]);
      await workAs('Python');
      expect(await theirs(id)).toEqual(['MAX_RETRIES_EXCEEDED', 'RETRIED']);
      expect(await types(id)).toEqual(['max_retries_exceeded', 'retried']);
    });
  });
});

describe.each(VERSIONS)('Fields of ours, and Python RQ %s', version => {
  const { redis, python, q, work, workAs } = useBoth(version);

  const hash = (id: string): Promise<Record<string, string>> => redis.client.hgetall(`rq:job:${id}`);
  const OURS = {
    retry_for: '["KeyError"]',
    no_retry_for: '["TypeError"]',
    soft_timeout: '60',
    stop_requested: 'n-earlier',
    errors:
      '[{"at":"2026-01-02T03:04:05.678901Z","worker":"w","error":"Error: x","run":"n1"},{"worker":"é☂"}]',
  };
  async function written(name: string = 'tasks.add', args: readonly unknown[] = [1, 2]): Promise<string> {
    const { id } = await q.enqueue(name, args, {
      retry: { max: 3, interval: [1000, 2000] },
      retryFor: ['KeyError'],
      noRetryFor: ['TypeError'],
      softTimeout: 60,
    });
    const { stop_requested, errors } = OURS;
    await redis.client.hset(`rq:job:${id}`, { stop_requested, errors });
    return id;
  }

  it('are kept where it saves what it has read', async () => {
    const id = await written();
    const once = await q.enqueue('tasks.add', [1, 2], { redeliver: false });
    expect(await hash(id)).toMatchObject(OURS);
    for (const each of [id, once.id]) {
      await python.run('j = job(id); j.meta["seen"] = True; j.save(); j.save_meta(); j.refresh()', {
        id: each,
      });
    }
    expect(await hash(id)).toMatchObject({ ...OURS, meta: '{"seen": true}', retries_left: '3' });
    expect(await hash(once.id)).toMatchObject({ redeliver: '0', meta: '{"seen": true}' });
    expect(await rq(version, redis.port, ['info'])).toMatchObject({ code: 0 });
  });

  it('are kept where it runs the job, and where it requeues it', async () => {
    const id = await written();
    await workAs('Python');
    expect(await python.run('out = job(id).return_value()', { id })).toBe(3);
    expect(await hash(id)).toMatchObject(OURS);
    const bad = await q.enqueue('tasks.fail', [], { redeliver: false });
    await workAs('Python');
    await python.run('job(id).requeue()', { id: bad.id });
    expect(await hash(bad.id)).toMatchObject({ status: 'queued', redeliver: '0' });
  });

  it('leave the plan to it: it retries whatever was thrown, and Node goes on by the names', async () => {
    const id = await written('tasks.fail', []);
    await workAs('Python');
    expect(await hash(id)).toMatchObject({
      ...OURS,
      status: 'scheduled',
      retries_left: '2',
      retry_intervals: '[1000, 2000, 2000]',
    });
    await redis.client.zadd('rq:scheduled:default', 1, id);
    await work({ maxIdleTime: '15s', burst: false, maxJobs: 1 });
    expect(await hash(id)).toMatchObject({ status: 'failed', retries_left: '2' });
    await expect((await q.fetchJob(id))?.result).rejects.toThrow('on purpose');
  });
});

describe.each(VERSIONS)('job.results() of runs in both languages, with Python RQ %s', version => {
  const { redis, python, q, workAs } = useBoth(version);

  it('has each once where one requeues what failed with the other', async () => {
    const job = await q.enqueue('tasks.fail');
    const names = async (): Promise<unknown> => (await job.results()).map(({ error }) => error?.name);
    await workAs('Node');
    expect(await names()).toEqual(['RangeError']);
    // Python's requeue empties the error's field, and with it goes what it told of
    await python.run('job(id).requeue()', { id: job.id });
    expect(await names()).toEqual([]);
    await workAs('Python');
    expect(await names()).toEqual(['ValueError']);
    await job.requeue();
    await workAs('Node');
    expect(await names()).toEqual(['RangeError', 'ValueError']);
    await job.requeue();
    await workAs('Python');
    expect(await names()).toEqual(['ValueError', 'RangeError', 'ValueError']);
  });

  it('has a run that was stopped in Python once', async () => {
    const job = await q.enqueue('tasks.sleep', [30]);
    const worker = new PythonWorker(version, redis.port, ['default', '--name', 'sleeper']);
    try {
      await vi.waitFor(async () => expect(await job.getStatus()).toBe('started'), { timeout: 10_000 });
      await vi.waitFor(() => job.stop(), { timeout: 10_000, interval: 50 });
      await vi.waitFor(async () => expect(await job.getStatus()).toBe('stopped'), { timeout: 10_000 });
      await expect(job.result).rejects.toThrow(JobStoppedError);
      await vi.waitFor(async () => expect(await redis.client.xlen(`rq:results:${job.id}`)).toBe(1), {
        timeout: 10_000,
      });
      expect(await job.results()).toMatchObject([{ workerName: 'sleeper' }]);
    } finally {
      await worker.end();
    }
  });
});
