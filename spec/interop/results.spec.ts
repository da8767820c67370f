import { describe, expect, it } from 'vitest';
import { JobFailedError } from '../../lib/index.ts';
import { RUNNERS, useBoth, type Runner } from './both.ts';
import { VERSIONS } from './python.ts';

const ALL: readonly (readonly [writer: Runner, runner: Runner])[] = RUNNERS.flatMap(writer =>
  RUNNERS.map(runner => [writer, runner] as const),
);
/** Those that have a result stream: Python's workers always write one, ours for jobs that Python wrote. */
const STREAMED = ALL.filter(([writer, runner]) => writer === 'Python' || runner === 'Python');
const VALUES = [
  0,
  -1.5,
  9_007_199_254_740_991,
  true,
  false,
  '',
  'żółw ☂ "\\n"',
  [],
  {},
  [[], {}, [null]],
  { a: { b: [1, 'x'] } },
];

describe.each(VERSIONS)('Results, with Python RQ %s', version => {
  const { redis, python, q, work, workAs } = useBoth(version);

  const write = async (writer: Runner, name: string, args: readonly unknown[] = []): Promise<string> =>
    writer === 'Node'
      ? (await q.enqueue(name, args)).id
      : python.run<string>('out = queue().enqueue(name, *args).id', { name, args });
  /** What `result` here comes to. */
  const result = async (id: string): Promise<unknown> => (await q.fetchJob(id))?.result;
  const error = async (id: string): Promise<JobFailedError> => {
    const reason = await result(id).catch((thrown: unknown) => thrown);
    expect(reason).toBeInstanceOf(JobFailedError);
    return reason as JobFailedError;
  };
  const theirs = (what: string, id: string): Promise<unknown> => python.run(`out = job(id).${what}`, { id });

  describe.each(ALL)('of a job that %s wrote and %s ran', (writer, runner) => {
    it('are read here, by result and by wait()', async () => {
      const id = await write(writer, 'tasks.add', [3, 4]);
      expect(await result(id)).toBeUndefined();
      await workAs(runner);
      const job = await q.fetchJob(id);
      expect(job?.status).toBe('finished');
      expect(await job?.result).toBe(7);
      expect(await job?.wait({ timeout: '1s' })).toBe(7);
    });

    it('are read by Python’s job.result, with the fields of a job that ended well', async () => {
      const id = await write(writer, 'tasks.add', [3, 4]);
      await workAs(runner);
      expect(await theirs('result', id)).toBe(7);
      expect(
        await python.run('j = job(id); out = [j.get_status(), j.is_finished, j.started_at <= j.ended_at]', {
          id,
        }),
      ).toEqual(['finished', true, true]);
      const { startedAt, endedAt, workerName } = (await q.fetchJob(id)) ?? {};
      expect(Number(endedAt)).toBeGreaterThanOrEqual(Number(startedAt));
      expect(await theirs('worker_name', id)).toBe(workerName);
    });

    it('tell of a failure here: name, message and stack', async () => {
      const id = await write(writer, 'tasks.fail', ['first: line\nsecond']);
      await workAs(runner);
      const { remote } = await error(id);
      expect(remote).toMatchObject({
        name: runner === 'Node' ? 'RangeError' : 'ValueError',
        message: 'first: line\nsecond',
      });
      expect(remote.stack).toMatch(
        runner === 'Node' ? /\n +at .*both\.ts/ : /^Traceback[^]*tasks\.py", line \d+, in fail/,
      );
    });

    it('tell of a failure there, by exc_info', async () => {
      const id = await write(writer, 'tasks.fail', ['żółw ☂']);
      await workAs(runner);
      const text = await theirs('exc_info', id);
      expect(text).toContain(runner === 'Node' ? 'RangeError: żółw ☂' : 'ValueError: żółw ☂');
      expect(text).toMatch(runner === 'Node' ? /at .*both\.ts/ : /^Traceback/);
      expect(
        await python.run(
          'j = job(id); out = [j.is_failed, job(id).return_value(), id in queue().failed_job_registry]',
          {
            id,
          },
        ),
      ).toEqual([true, null, true]);
    });

    it('are null, or None, where the function gave nothing', async () => {
      const id = await write(writer, 'tasks.nothing');
      if (runner === 'Node') await work({ functions: { 'tasks.nothing': () => {} } });
      else await workAs(runner);
      expect(await result(id)).toBeNull();
      expect(await theirs('result', id)).toBeNull();
      expect(await theirs('get_status()', id)).toBe('finished');
    });

    it('are any JSON value', async () => {
      const written: string[] = [];
      for (const value of VALUES) written.push(await write(writer, 'tasks.same', [value]));
      if (runner === 'Node') await work({ functions: { 'tasks.same': (value: unknown) => value } });
      else await workAs(runner);
      expect(await Promise.all(written.map(result))).toEqual(VALUES);
      const out = 'out = [job(id).result for id in written]';
      expect(await python.run(out, { written })).toEqual(VALUES);
    });
  });

  describe.each(STREAMED)('in the stream of a job that %s wrote and %s ran', (writer, runner) => {
    it('are read by return_value(), latest_result() and results()', async () => {
      const id = await write(writer, 'tasks.add', [3, 4]);
      await workAs(runner);
      expect(await theirs('return_value()', id)).toBe(7);
      expect(
        await python.run(
          'out = [[r.type.name, r.return_value, r.exc_string, r.worker_name == job(id).worker_name] for r in job(id).results()]',
          { id },
        ),
      ).toEqual([['SUCCESSFUL', 7, null, true]]);
    });

    it('say which run they are of, and when that was', async () => {
      const id = await write(writer, 'tasks.add', [3, 4]);
      await workAs(runner);
      const [run, started, ended] = await python.run<[string, number, number]>(
        'r = job(id).latest_result(); out = [r.execution_id, r.execution_started_at.timestamp(), r.execution_ended_at.timestamp()]',
        { id },
      );
      expect(run).toHaveLength(32);
      expect(ended).toBeGreaterThanOrEqual(started);
      expect(Math.abs(ended - Date.now() / 1000)).toBeLessThan(10);
    });

    it('tell of a failure by latest_result().exc_string', async () => {
      const id = await write(writer, 'tasks.fail', ['żółw ☂']);
      await workAs(runner);
      const [type, text] = await python.run<[string, string]>(
        'latest = job(id).latest_result(); out = [latest.type.name, latest.exc_string]',
        { id },
      );
      expect(type).toBe('FAILED');
      expect(text).toContain(runner === 'Node' ? 'RangeError: żółw ☂\n    at ' : 'ValueError: żółw ☂');
    });
  });

  it('of our jobs that Node ran are in the hash alone: return_value() gives None, results() nothing', async () => {
    const id = await write('Node', 'tasks.add', [3, 4]);
    await work();
    expect(await python.run('j = job(id); out = [j.return_value(), j.results(), j.result]', { id })).toEqual([
      null,
      [],
      7,
    ]);
    expect(await redis.client.exists(`rq:results:${id}`)).toBe(0);
  });

  it('of all runs are kept in a stream, whoever ran them', async () => {
    const id = await write('Python', 'tasks.add', [3]);
    await python.run('work("default")');
    await python.run('queue().failed_job_registry.requeue(id)', { id });
    await work({ functions: { 'tasks.add': () => Promise.reject(new RangeError('no')) } });
    await q.failedRegistry.requeue(id);
    await work({ functions: { 'tasks.add': (x: number) => x } });
    expect(
      await python.run(
        'out = [[r.type.name, r.return_value, (r.exc_string or "")[:10]] for r in job(id).results()]',
        {
          id,
        },
      ),
    ).toEqual([
      ['SUCCESSFUL', 3, ''],
      ['FAILED', null, 'RangeError'],
      ['FAILED', null, 'Traceback '],
    ]);
    expect(await theirs('return_value()', id)).toBe(3);
    expect(await result(id)).toBe(3);
  });

  it('are not those of the run before, while a job waits again', async () => {
    for (const runner of RUNNERS) {
      const id = await write('Python', 'tasks.fail');
      await work({ functions: { 'tasks.fail': () => 'old' } });
      expect(await result(id)).toBe('old');
      await (await q.fetchJob(id))?.requeue();
      expect(await result(id)).toBeUndefined();
      await workAs(runner);
      expect((await error(id)).remote.message).toBe('on purpose');
    }
  });

  it.each(ALL)(
    'are the newest, where Python queued a job again that %s wrote and %s ran',
    async (writer, runner) => {
      const id = await write(writer, 'tasks.add', [3, 4]);
      if (runner === 'Node') await work({ functions: { 'tasks.add': () => 'old' } });
      else await workAs(runner);
      await python.run('queue().enqueue_job(job(id))', { id });
      await (runner === 'Node' ? workAs('Python') : work({ functions: { 'tasks.add': () => 'new' } }));
      expect(await result(id)).toBe(runner === 'Node' ? 7 : 'new');
      expect(await theirs('return_value()', id)).toBe(runner === 'Node' ? 7 : 'new');
    },
  );

  it('name an exception of a module of Python’s in full', async () => {
    const id = await write('Node', 'json.loads', ['{']);
    await workAs('Python');
    expect((await error(id)).remote).toMatchObject({
      name: 'json.decoder.JSONDecodeError',
      message: 'Expecting property name enclosed in double quotes: line 1 column 2 (char 1)',
    });
  });

  it('say why a job could not be run on the other side', async () => {
    const id = await write('Node', 'no_such_module.f');
    await workAs('Python');
    expect((await error(id)).remote.stack).toContain('no_such_module');
    const other = await write('Python', 'tasks.sleep', [1]);
    await work();
    expect(await theirs('latest_result().exc_string', other)).toMatch(
      /^FunctionNotRegisteredError: .*'tasks\.sleep'.*registered are: tasks\.add, tasks\.echo, tasks\.fail/,
    );
  });

  it('are waited for here while a Python worker runs the jobs, which tells nobody', async () => {
    const ours = await q.enqueue('tasks.add', [1, 2]);
    const other = await q.fetchJob(await write('Python', 'tasks.add', [3, 4]));
    const waited = Promise.all([ours.wait({ timeout: '20s' }), other!.wait({ timeout: '20s' })]);
    await expect
      .poll(async () => (await redis.client.pubsub('CHANNELS', 'rq:status:*')) as string[])
      .toHaveLength(2);
    await workAs('Python');
    expect(await waited).toEqual([3, 7]);
  });

  it('are waited for there while a Node worker runs the job', async () => {
    const id = await write('Python', 'tasks.add', [3, 4]);
    const waited = python.run('out = job(id).latest_result(timeout=10).return_value', { id });
    await expect.poll(() => redis.client.client('LIST')).toMatch(/cmd=xread/);
    await work();
    expect(await waited).toBe(7);
  });
});
