/** `job.result`: a look at what came of a job, as Redis knows it now. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { JobCanceledError, JobFailedError, JobStoppedError, NoSuchJobError } from '../lib/errors.ts';
import type { Job } from '../lib/job.ts';
import { useQueue, useRedis, workOff } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);

const work = (): Promise<void> => workOff(redis);
const base64 = (value: string | Buffer): string => Buffer.from(value).toString('base64');

async function written(fields: Record<string, string | Buffer>): Promise<Job> {
  await redis.client.hset('rq:job:a', { data: '["f",null,[],{}]', origin: 'default', ...fields });
  return (await q.fetchJob('a')) as Job;
}

describe('Job.result', () => {
  it.each(['queued', 'started', 'deferred', 'scheduled'])('is undefined while a job is %s', async status => {
    const job = await written({ status });
    expect(await job.result).toBeUndefined();
    expect(job.status).toBe(status);
  });

  it('does not trust a result of an earlier run', async () => {
    expect(
      await (
        await written({ status: 'queued', result: '1', exc_info: 'Error: x' })
      ).result,
    ).toBeUndefined();
    expect(await (await written({ status: 'started', result: '1' })).result).toBeUndefined();
  });

  it.each([
    [85],
    [0],
    [''],
    [false],
    [null],
    [[]],
    [{}],
    [{ a: [1, { b: 'ä😀' }], c: null }],
    [9007199254740991],
    [0.1],
    ['x'.repeat(200_000)],
  ])('is the value once the job finished', async value => {
    const job = await q.enqueue('echo', [value]);
    await work();
    expect(await job.result).toEqual([value]);
    expect(job.status).toBe('finished');
  });

  it('is null where the function returned nothing', async () => {
    const job = await q.enqueue('nothing');
    await work();
    expect(await job.result).toBeNull();
  });

  it('is null where a job finished of which no result was kept', async () => {
    expect(await (await written({ status: 'finished' })).result).toBeNull();
  });

  it('asks Redis each time', async () => {
    const job = await q.enqueue('sum', [[42, 43]]);
    expect(await job.result).toBeUndefined();
    await work();
    expect(await job.result).toBe(85);
    expect(await job.result).toBe(85);
  });

  it('rejects once the job failed, with the remote error’s name, message and stack', async () => {
    const job = await q.enqueue('fail', ['no luck']);
    await work();
    const error: unknown = await job.result.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error).toMatchObject({
      name: 'JobFailedError',
      code: 'RQ_JOB_FAILED',
      jobId: job.id,
      message: `Job ${job.id} failed: RangeError: no luck`,
      remote: { name: 'RangeError', message: 'no luck' },
    });
    expect((error as JobFailedError).remote.stack).toMatch(/^RangeError: no luck\n {4}at .*tasks\.js/);
    expect(job.status).toBe('failed');
  });

  it('rejects once the job was stopped', async () => {
    const { result } = await written({ status: 'stopped', exc_info: 'x' });
    await expect(result).rejects.toThrow(JobStoppedError);
    await expect(result).rejects.toMatchObject({ code: 'RQ_JOB_STOPPED', jobId: 'a' });
  });

  it('rejects once the job was canceled', async () => {
    const job = await q.enqueue('f');
    await job.cancel();
    await expect(job.result).rejects.toThrow(JobCanceledError);
    await expect(job.result).rejects.toMatchObject({ code: 'RQ_JOB_CANCELED', jobId: job.id });
  });

  it('rejects once the job is gone', async () => {
    const job = await q.enqueue('f');
    await job.delete();
    await expect(job.result).rejects.toThrow(NoSuchJobError);
  });

  it('ends a loop that polls', async () => {
    const job = await q.enqueue('fail', ['no']);
    const poll = async (): Promise<unknown> => {
      for (;;) {
        const value = await job.result;
        if (value !== undefined) return value;
        await work();
      }
    };
    await expect(poll()).rejects.toThrow(JobFailedError);
  });

  it('shares a round trip among the looks of one tick', async () => {
    const jobs = await Promise.all(Array.from({ length: 50 }, (_, i) => q.enqueue('sum', [[i]])));
    await work();
    await jobs[0]?.result;
    const calls = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1]);
    const before = await calls();
    expect(await Promise.all(jobs.map(job => job.result))).toEqual(jobs.map((_, i) => i));
    expect((await calls()) - before).toBe(1);
  });

  it('that nobody awaits does not crash a process where the job failed', async () => {
    const job = await q.enqueue('fail', ['no']);
    await work();
    const library = new URL('../dist/lib/index.js', import.meta.url).href;
    const script = `import { Queue } from ${JSON.stringify(library)};
      const q = new Queue('default', { connection: ${JSON.stringify(redis.url)} });
      const job = await q.fetchJob(${JSON.stringify(job.id)});
      void job.result;
      console.log(await q.count());
      setTimeout(() => console.log('still here'), 100);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const [code] = (await once(child, 'close')) as [unknown];
    expect({ code, out }).toEqual({ code: 0, out: '0\nstill here\n' });
  });
});

describe('Job.result of a job that Python ran', () => {
  it('is read from the result stream', async () => {
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', base64('{"a":["ä"]}'));
    expect(await (await written({ status: 'finished' })).result).toEqual({ a: ['ä'] });
  });

  it('is that of the last run', async () => {
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', base64('1'));
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', base64('2'));
    expect(await (await written({ status: 'finished', result: '' })).result).toBe(2);
  });

  it('is null where Python returned None', async () => {
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', base64('null'));
    expect(await (await written({ status: 'finished' })).result).toBeNull();
  });

  const traceback = [
    'Traceback (most recent call last):',
    '  File "/app/tasks.py", line 3, in f',
    '    raise ValueError("no ä")',
    'ValueError: no ä',
    '',
  ].join('\n');
  const said = { name: 'ValueError', message: 'no ä', stack: traceback };

  it('rejects with the traceback in the result stream', async () => {
    const text = base64(deflateSync(traceback));
    await redis.client.xadd('rq:results:a', '*', 'type', '2', 'exc_string', text);
    const { result } = await written({ status: 'failed' });
    await expect(result).rejects.toMatchObject({ code: 'RQ_JOB_FAILED', remote: said });
    await expect(result).rejects.toThrow('Job a failed: ValueError: no ä');
  });

  it('rejects with the traceback in the hash, compressed or plain', async () => {
    const compressed = await written({ status: 'failed', exc_info: deflateSync(traceback) });
    await expect(compressed.result).rejects.toMatchObject({ remote: said });
    const plain = await written({ status: 'failed', exc_info: traceback });
    await expect(plain.result).rejects.toMatchObject({ remote: said });
  });

  it('prefers what the stream says: an earlier run may have left the rest', async () => {
    await redis.client.xadd('rq:results:a', '*', 'type', '1', 'return_value', base64('1'));
    expect(await (await written({ status: 'finished', result: '2' })).result).toBe(1);
  });

  it('rejects where nothing says why it failed', async () => {
    await expect((await written({ status: 'failed' })).result).rejects.toThrow(JobFailedError);
  });

  it('rejects where the result is a pickle', async () => {
    const { result } = await written({
      status: 'finished',
      result: Buffer.from([0x80, 0x04, 0x4b, 0x01, 0x2e]),
    });
    await expect(result).rejects.toMatchObject({ code: 'RQ_INVALID_JOB', jobId: 'a' });
  });
});
