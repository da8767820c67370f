import { describe, expect, it } from 'vitest';
import { getCurrentJob, type Logger } from '../../lib/index.ts';
import { RUNNERS, useBoth } from './both.ts';
import { VERSIONS } from './python.ts';

describe.each(VERSIONS)('Callbacks that Python RQ %s wrote', version => {
  const { redis, python, q, work, workAs, worker } = useBoth(version);

  const enqueue = (call: string): Promise<string> =>
    python.run<string>(`from rq import Callback\nout = queue().enqueue(${call}).id`);
  /** What Python's callbacks wrote down. */
  const noted = (): Promise<string[]> => redis.client.lrange('noted', 0, -1);
  const held = (): Promise<void> =>
    new Promise((_, reject) => {
      const { signal } = getCurrentJob()!;
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  const ALL =
    'on_success=Callback("tasks.noted", timeout=11), on_failure=Callback("tasks.noted", timeout=12), ' +
    'on_stopped=Callback("tasks.noted", timeout=13)';
  const FIELDS = ['success', 'failure', 'stopped'].flatMap(kind => [
    `${kind}_callback_name`,
    `${kind}_callback_timeout`,
  ]);

  it('are called by Python for jobs that Python runs', async () => {
    const id = await enqueue(`"tasks.add", 1, 2, ${ALL}`);
    await workAs('Python');
    expect(await noted()).toEqual([id]);
  });

  it.each(['tasks.add', 'tasks.fail'])('stay in the hash of a job that a Node worker ran, %s', async name => {
    const id = await enqueue(`"${name}", 1, 2, ${ALL}`);
    await work();
    expect(await redis.client.hmget(`rq:job:${id}`, ...FIELDS)).toEqual([
      'tasks.noted',
      '11',
      'tasks.noted',
      '12',
      'tasks.noted',
      '13',
    ]);
    expect(await noted()).toEqual([]);
  });

  it.each([
    ['on_success', 'tasks.add', '1, 2'],
    ['on_failure', 'tasks.fail', '"no"'],
  ])('are warned of where they are not called: %s', async (option, name, args) => {
    const id = await enqueue(`"${name}", ${args}, ${option}=Callback("tasks.noted")`);
    const warnings = await work();
    expect(warnings.filter(text => text.includes(id) && text.includes('tasks.noted'))).toHaveLength(1);
  });

  it('are warned of where they are not called: on_stopped', async () => {
    const id = await enqueue('"held", on_stopped=Callback("tasks.noted")');
    const warnings: string[] = [];
    const worked = worker({ held })
      .on('warning', text => warnings.push(text))
      .work({ burst: true });
    await expect.poll(() => redis.client.hget(`rq:job:${id}`, 'status')).toBe('started');
    await python.run('send_stop_job_command(c, id, serializer=JSONSerializer)', { id });
    await worked;
    expect(await redis.client.hget(`rq:job:${id}`, 'status')).toBe('stopped');
    expect(warnings.filter(text => text.includes(id) && text.includes('tasks.noted'))).toHaveLength(1);
  });

  it('are warned of in the log', async () => {
    const lines: string[] = [];
    const quiet = (): void => {};
    const logger: Logger = {
      debug: quiet,
      info: quiet,
      error: quiet,
      warn: (_, message) => lines.push(message),
    };
    const id = await enqueue('"tasks.add", 1, 2, on_success=Callback("tasks.noted")');
    await work({ options: { logger } });
    expect(lines).toEqual([expect.stringMatching(new RegExp(`${id}.*tasks\\.noted|tasks\\.noted.*${id}`))]);
  });

  it('are no reason for a warning where there are none', async () => {
    await enqueue('"tasks.add", 1, 2');
    await enqueue('"tasks.fail", "no"');
    await q.enqueue('tasks.add', [1, 2]);
    expect(await work()).toEqual([]);
  });

  it('do not keep the job from its end', async () => {
    const id = await enqueue(`"tasks.add", 1, 2, ${ALL}`);
    await work();
    expect(await python.run('out = job(id).return_value()', { id })).toBe(3);
    expect(await (await q.fetchJob(id))?.result).toBe(3);
  });

  it.each(RUNNERS)('are called by Python once the job, requeued by %s, runs there', async asker => {
    const id = await enqueue(`"tasks.fail", "no", ${ALL}`);
    await work();
    expect(await noted()).toEqual([]);
    await (asker === 'Node' ? q.failedRegistry.requeue(id) : python.run('job(id).requeue()', { id }));
    await workAs('Python');
    expect(await noted()).toEqual([id]);
  });
});

describe.each(VERSIONS)('Callbacks of ours, with a worker of Python RQ %s', version => {
  const { redis, q, workAs } = useBoth(version);

  it('are left alone, and the job ends as it would', async () => {
    const options = { onSuccess: 'told', onFailure: 'told', onStopped: 'told' };
    const [good, bad] = await q.enqueueMany([
      ['tasks.add', [1, 2], options],
      ['tasks.fail', ['no'], options],
    ]);
    await workAs('Python');
    expect(await good.result).toBe(3);
    expect(await bad.getStatus()).toBe('failed');
    for (const { id } of [good, bad]) {
      expect(JSON.parse((await redis.client.hget(`rq:job:${id}`, 'callbacks')) ?? '')).toMatchObject({
        success: { name: 'told', timeout: 60 },
      });
      const names = await redis.client.hmget(
        `rq:job:${id}`,
        'success_callback_name',
        'failure_callback_name',
      );
      // RQ writes them empty where it saves a job
      expect(names.filter(Boolean)).toEqual([]);
    }
  });
});
