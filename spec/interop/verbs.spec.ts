import { describe, expect, it } from 'vitest';
import { InvalidJobOperationError, JobCanceledError, NoSuchJobError } from '../../lib/index.ts';
import { gate, RUNNERS, useBoth, type Runner } from './both.ts';
import { rq, VERSIONS } from './python.ts';

const other = (runner: Runner): Runner => (runner === 'Node' ? 'Python' : 'Node');
/** Who wrote the job, who ran it, who asks for the next thing. */
const TRIPLES: readonly (readonly [writer: Runner, runner: Runner, asker: Runner])[] = RUNNERS.flatMap(
  writer => RUNNERS.flatMap(runner => RUNNERS.map(asker => [writer, runner, asker] as const)),
);

describe.each(VERSIONS)('Verbs, with Python RQ %s', version => {
  const { redis, python, q, work, workAs, worker, ids } = useBoth(version);

  const write = async (writer: Runner, name: string, args: readonly unknown[] = []): Promise<string> =>
    writer === 'Node'
      ? (await q.enqueue(name, args)).id
      : python.run<string>('out = queue().enqueue(name, *args).id', { name, args });
  const ask = async (asker: Runner, verb: 'cancel' | 'requeue' | 'delete', id: string): Promise<void> => {
    if (asker === 'Python') await python.run(`job(id).${verb}()`, { id });
    else await (await q.fetchJob(id))?.[verb]();
  };
  const status = (id: string): Promise<string | null> => redis.client.hget(`rq:job:${id}`, 'status');
  /** Keys of any kind that name the job. */
  const keys = (id: string): Promise<string[]> => redis.client.keys(`*${id}*`);
  /** The lists and registries of the queue that hold the job. */
  const places = async (id: string): Promise<string[]> => {
    const found: string[] = [];
    for (const kind of ['queue', 'wip', 'finished', 'failed', 'canceled', 'deferred', 'scheduled']) {
      const members = await ids(`rq:${kind}:default`);
      found.push(...members.filter(member => member.startsWith(id)).map(() => kind));
    }
    return found;
  };

  describe('cancel', () => {
    describe.each(RUNNERS)('by %s', asker => {
      it.each(RUNNERS)('keeps a waiting job that %s wrote from running, on both sides', async writer => {
        const id = await write(writer, 'tasks.add', [1, 2]);
        await ask(asker, 'cancel', id);
        expect(await places(id)).toEqual(['canceled']);
        await workAs('Python');
        await workAs('Node');
        expect(await status(id)).toBe('canceled');
        expect(await (await q.fetchJob(id))?.result.catch((error: unknown) => error)).toBeInstanceOf(
          JobCanceledError,
        );
        const seen = 'out = [job(id).is_canceled, id in queue().canceled_job_registry, job(id).result]';
        expect(await python.run(seen, { id })).toEqual([true, true, null]);
        expect(await q.canceledRegistry.getJobIds()).toEqual([id]);
      });

      it.each(RUNNERS)('drops what a Node worker’s run of a job that %s wrote still gives', async writer => {
        const id = await write(writer, 'held');
        const [began, end] = [gate(), gate()];
        const held = async (): Promise<string> => {
          began.open();
          await end.passed;
          return 'late';
        };
        const worked = worker({ held }).work({ burst: true });
        await began.passed;
        await ask(asker, 'cancel', id);
        expect(await status(id)).toBe('canceled');
        end.open();
        await worked;
        expect(await status(id)).toBe('canceled');
        expect(await python.run('out = job(id).result', { id })).toBeNull();
        expect(await redis.client.exists('rq:finished:default')).toBe(0);
        expect(await ids('rq:canceled:default')).toEqual([id]);
      });
    });

    it('is undone by requeue() here, and the job runs', async () => {
      const id = await write('Python', 'tasks.add', [1, 2]);
      await ask('Python', 'cancel', id);
      await ask('Node', 'requeue', id);
      expect(await places(id)).toEqual(['queue']);
      await workAs('Python');
      expect(await (await q.fetchJob(id))?.result).toBe(3);
    });

    it('is refused by Python for a job that was canceled here', async () => {
      const id = await write('Node', 'tasks.add', [1, 2]);
      await ask('Node', 'cancel', id);
      await expect(ask('Python', 'cancel', id)).rejects.toThrow('Cannot cancel already canceled job');
    });

    it('is refused here for a job that ended in Python', async () => {
      const id = await write('Node', 'tasks.add', [1, 2]);
      await workAs('Python');
      await expect(ask('Node', 'cancel', id)).rejects.toBeInstanceOf(InvalidJobOperationError);
    });
  });

  describe('requeue', () => {
    it.each(TRIPLES)(
      'of a job that %s wrote and %s failed, by %s, gives it another run',
      async (writer, runner, asker) => {
        const id = await write(writer, 'tasks.fail');
        await workAs(runner);
        expect(await places(id)).toEqual(['failed']);
        await ask(asker, 'requeue', id);
        expect(await places(id)).toEqual(['queue']);
        expect(await status(id)).toBe('queued');
        const next = other(runner);
        if (next === 'Node') await work({ functions: { 'tasks.fail': () => 'well' } });
        else await workAs(next);
        expect(await places(id)).toEqual([next === 'Node' ? 'finished' : 'failed']);
        const came = next === 'Node' ? 'well' : 'ValueError: on purpose';
        const job = await q.fetchJob(id);
        expect(await job?.result.catch(String)).toContain(came);
        const theirs = 'j = job(id); out = j.result if j.is_finished else j.exc_info';
        expect(await python.run(theirs, { id })).toContain(came);
      },
    );

    it.each(RUNNERS)('here takes off the lifetime that a failure by %s gave the job', async runner => {
      const id = await write('Python', 'tasks.fail');
      await workAs(runner);
      expect(await redis.client.ttl(`rq:job:${id}`)).toBeGreaterThan(0);
      await ask('Node', 'requeue', id);
      expect(await redis.client.ttl(`rq:job:${id}`)).toBe(-1);
    });

    it.each(RUNNERS)('from the failed registry of %s takes the job of either writer', async asker => {
      for (const writer of RUNNERS) {
        const id = await write(writer, 'tasks.fail');
        await workAs('Node');
        if (asker === 'Node') await q.failedRegistry.requeue(id);
        else await python.run('queue().failed_job_registry.requeue(id)', { id });
        expect(await places(id)).toEqual(['queue']);
        await q.empty();
      }
    });

    it.each(RUNNERS)('by %s puts it at the front where that is asked for', async asker => {
      const id = await write(other(asker), 'tasks.fail');
      await workAs(other(asker));
      const waiting = await write('Node', 'tasks.add', [1, 2]);
      if (asker === 'Node') await q.failedRegistry.requeue(id, { atFront: true });
      else await python.run('queue().failed_job_registry.requeue(id, at_front=True)', { id });
      expect(await q.getJobIds()).toEqual([id, waiting]);
    });

    it('by `rq requeue` takes jobs of both writers', async () => {
      const written = [await write('Node', 'tasks.fail'), await write('Python', 'tasks.fail')];
      await workAs('Node');
      const { code, out } = await rq(version, redis.port, [
        'requeue',
        '--queue',
        'default',
        '-S',
        'json',
        '--all',
      ]);
      expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('Requeueing 2 jobs') });
      expect((await q.getJobIds()).toSorted()).toEqual(written.toSorted());
      expect(await q.failedRegistry.count()).toBe(0);
    });

    it('of a job that finished in Python, here, forgets its result', async () => {
      const id = await write('Python', 'tasks.add', [1, 2]);
      await workAs('Python');
      await ask('Node', 'requeue', id);
      expect(await places(id)).toEqual(['queue']);
      expect(await (await q.fetchJob(id))?.result).toBeUndefined();
      await work({ functions: { 'tasks.add': () => 'new' } });
      expect(await python.run('out = [job(id).return_value(), job(id).result]', { id })).toEqual([
        'new',
        'new',
      ]);
    });
  });

  describe('delete', () => {
    it.each(RUNNERS)('by %s takes a waiting job of the other away, with all that names it', async asker => {
      const id = await write(other(asker), 'tasks.add', [1, 2]);
      await ask(asker, 'delete', id);
      expect(await places(id)).toEqual([]);
      expect(await keys(id)).toEqual([]);
      await workAs('Node');
      await workAs('Python');
      expect(await keys(id)).toEqual([]);
      await expect(python.run('job(id)', { id })).rejects.toThrow('NoSuchJobError');
      expect(await q.fetchJob(id)).toBeUndefined();
    });

    it.each(TRIPLES)('of a job that %s wrote and %s ran, by %s', async (writer, runner, asker) => {
      for (const name of ['tasks.echo', 'tasks.fail']) {
        const id = await write(writer, name);
        await workAs(runner);
        await ask(asker, 'delete', id);
        expect(await places(id)).toEqual([]);
        // RQ's delete leaves the stream to its own expiry
        const left = (await keys(id)).filter(key => asker === 'Node' || !key.startsWith('rq:results:'));
        expect(left).toEqual([]);
      }
    });

    it.each(RUNNERS)('by %s, while a Node worker runs the job, brings nothing back to life', async asker => {
      for (const writer of RUNNERS) {
        const id = await write(writer, 'held');
        const [began, end] = [gate(), gate()];
        const held = async (): Promise<string> => {
          began.open();
          await end.passed;
          return 'late';
        };
        const worked = worker({ held }).work({ burst: true });
        await began.passed;
        const job = await q.fetchJob(id);
        await ask(asker, 'delete', id);
        end.open();
        await worked;
        expect(await keys(id)).toEqual([]);
        expect(await redis.client.exists('rq:finished:default')).toBe(0);
        await expect(job?.result).rejects.toBeInstanceOf(NoSuchJobError);
      }
    });

    it('of a whole queue by Python takes our jobs too', async () => {
      const written = [await write('Node', 'tasks.add', [1, 2]), await write('Python', 'tasks.add', [1, 2])];
      await python.run('queue().delete(delete_jobs=True)');
      for (const id of written) expect(await keys(id)).toEqual([]);
      expect(await redis.client.smembers('rq:queues')).toEqual([]);
    });

    it('of a whole queue here takes Python’s jobs too', async () => {
      const written = [await write('Node', 'tasks.add', [1, 2]), await write('Python', 'tasks.add', [1, 2])];
      await q.delete();
      for (const id of written) expect(await keys(id)).toEqual([]);
      expect(await python.run('out = Queue.all(connection=c)')).toEqual([]);
    });
  });
});
