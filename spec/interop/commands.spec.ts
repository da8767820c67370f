import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { getCurrentJob, JobStoppedError, StopRequestedError } from '../../lib/index.ts';
import { startWorker } from '../support/worker-process.ts';
import { gate, RUNNERS, useBoth, type Runner } from './both.ts';
import { missing, PythonWorker, rq, VERSIONS } from './python.ts';

describe.each(VERSIONS)('Commands, with Python RQ %s', version => {
  const { redis, python, q, work, worker, ids } = useBoth(version);

  const write = async (writer: Runner, name: string, args: readonly unknown[] = []): Promise<string> =>
    writer === 'Node'
      ? (await q.enqueue(name, args)).id
      : python.run<string>('out = queue().enqueue(name, *args).id', { name, args });
  const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');
  const started = (id: string): Promise<void> =>
    vi.waitFor(async () => expect(await status(id)).toBe('started'), { timeout: 10_000 });

  describe('of Python’s to a Node worker', () => {
    it.each(RUNNERS)('stop a job that %s wrote', async writer => {
      const reasons: unknown[] = [];
      const held = (): Promise<void> =>
        new Promise((_, reject) => {
          const { signal } = getCurrentJob()!;
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason);
            reject(signal.reason as Error);
          });
        });
      const id = await write(writer, 'held');
      const next = await write(writer, 'tasks.add', [1, 2]);
      const worked = worker({ held }).work({ burst: true });
      await started(id);
      await python.run('send_stop_job_command(c, id, serializer=JSONSerializer)', { id });
      await worked;
      expect(reasons).toEqual([expect.any(StopRequestedError)]);
      expect(await status(id)).toBe('stopped');
      expect(await ids('rq:failed:default')).toEqual([id]);
      expect(await ids('rq:wip:default')).toEqual([]);
      expect(await (await q.fetchJob(id))?.result.catch((error: unknown) => error)).toBeInstanceOf(
        JobStoppedError,
      );
      expect(
        await python.run('out = [job(id).is_stopped, id in queue().failed_job_registry, job(id).exc_info]', {
          id,
        }),
      ).toEqual([true, true, expect.stringContaining('StopRequestedError')]);
      expect(await (await q.fetchJob(next))?.result).toBe(3);
    });

    it('stop nothing where they name a job that it does not run', async () => {
      const { passed, open } = gate();
      const held = () => passed.then(() => 'well');
      const id = await write('Python', 'held');
      const w = worker({ held });
      const worked = w.work({ burst: true });
      await started(id);
      // it has heard the first one when it warns of the second one
      const heard = once(w, 'warning');
      await python.run(
        'from rq.command import send_command; send_command(c, name, "stop-job", job_id="another"); send_command(c, name, "mark")',
        {
          name: w.name,
        },
      );
      expect(await heard).toEqual([expect.stringContaining('mark')]);
      open();
      await worked;
      expect(await (await q.fetchJob(id))?.result).toBe('well');
    });

    it('shut it down, after the job that it runs', async () => {
      const process = startWorker(redis.url, ['default'], '--name', 'node-1');
      try {
        await process.listening();
        const id = await write('Python', 'stubborn', [300]);
        // Redis says so before the worker has it, and what it has not begun it gives back
        await process.said(new RegExp(`\\(${id}\\)`));
        await python.run('send_shutdown_command(c, "node-1")');
        expect(await process.exit()).toEqual({ code: 0, signal: null });
        expect(await (await q.fetchJob(id))?.result).toBe('done');
        expect(await python.run('out = [w.name for w in Worker.all(connection=c)]')).toEqual([]);
      } finally {
        await process.end();
      }
    });

    it('end what it runs, where they kill the horse', async () => {
      const held = (): Promise<void> =>
        new Promise((_, reject) => {
          const { signal } = getCurrentJob()!;
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        });
      const id = await write('Python', 'held');
      const w = worker({ held });
      const worked = w.work({ burst: true });
      await started(id);
      await python.run('send_kill_horse_command(c, name)', { name: w.name });
      await worked;
      expect(['stopped', 'failed']).toContain(await status(id));
      expect(await ids('rq:failed:default')).toEqual([id]);
    });

    it('suspend it, and let it go on', async () => {
      const w = worker();
      const worked = w.work();
      await once(w, 'listening');
      const suspended = once(w, 'suspended');
      await python.run('suspend(c)');
      const id = await write('Python', 'tasks.add', [1, 2]);
      await suspended;
      // a blocking read may have it for a moment
      await expect.poll(() => ids('rq:queue:default')).toEqual([id]);
      expect(await status(id)).toBe('queued');
      const resumed = once(w, 'resumed');
      await python.run('resume(c)');
      await resumed;
      await expect.poll(() => status(id), { timeout: 15_000 }).toBe('finished');
      await w.stop();
      await worked;
    });

    it('suspend it by `rq suspend`, and show it so by `rq info`', async () => {
      const w = worker();
      const worked = w.work();
      await once(w, 'listening');
      const suspended = once(w, 'suspended');
      expect((await rq(version, redis.port, ['suspend'])).code).toBe(0);
      const id = await write('Python', 'tasks.add', [1, 2]);
      await suspended;
      const state = (): Promise<unknown> => python.run('out = Worker.all(connection=c)[0].get_state()');
      await expect.poll(state, { timeout: 15_000 }).toBe('suspended');
      expect((await rq(version, redis.port, ['info'])).out).toContain('suspended');
      expect((await rq(version, redis.port, ['resume'])).code).toBe(0);
      await expect.poll(() => status(id), { timeout: 15_000 }).toBe('finished');
      await w.stop();
      await worked;
    });

    it('are over with a suspension that was for a time', async () => {
      // longer than a worker takes to look
      await python.run('suspend(c, 3)');
      const id = await write('Python', 'tasks.add', [1, 2]);
      const w = worker();
      const suspended = once(w, 'suspended');
      const worked = w.work();
      await suspended;
      await expect.poll(() => status(id), { timeout: 15_000 }).toBe('finished');
      await w.stop();
      await worked;
    });
  });

  describe('of ours to a Python worker', () => {
    let theirs: PythonWorker;
    // each test empties Redis, and with it what a worker said of itself
    const start = async (): Promise<void> => {
      await vi.waitFor(
        async () =>
          expect(await redis.client.pubsub('NUMSUB', 'rq:pubsub:python-1')).toEqual([
            'rq:pubsub:python-1',
            1,
          ]),
        { timeout: 15_000 },
      );
    };
    beforeAll(async () => {
      if (missing(version) !== undefined) return;
      theirs = new PythonWorker(version, redis.port, ['--name', 'python-1', 'default']);
      await start();
    });
    afterAll(() => theirs?.end());

    it.each(RUNNERS)('stop a job that %s wrote, by job.stop()', async writer => {
      const id = await write(writer, 'tasks.sleep', [30]);
      await started(id);
      await (await q.fetchJob(id))?.stop();
      await expect.poll(() => status(id), { timeout: 10_000 }).toBe('stopped');
      await expect.poll(() => ids('rq:failed:default')).toEqual([id]);
      expect(await (await q.fetchJob(id))?.result.catch((error: unknown) => error)).toBeInstanceOf(
        JobStoppedError,
      );
      // it is requeued here, and run here
      await q.failedRegistry.requeue(id);
      await expect.poll(() => status(id)).not.toBe('stopped');
      await expect.poll(() => status(id), { timeout: 10_000 }).toBe('started');
      await (await q.fetchJob(id))?.stop();
      await expect.poll(() => status(id), { timeout: 10_000 }).toBe('stopped');
    });

    it('shut it down, published as Python does', async () => {
      const heard = await redis.client.publish('rq:pubsub:python-1', '{"command":"shutdown"}');
      expect(heard).toBe(1);
      expect(await theirs.exit()).toBe(0);
      const id = await write('Python', 'tasks.add', [1, 2]);
      await work();
      expect(await (await q.fetchJob(id))?.result).toBe(3);
    });
  });
});
