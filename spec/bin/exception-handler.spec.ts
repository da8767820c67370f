import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { useFolder } from '../support/folder.ts';
import { useQueue, useRedis } from '../support/in-process.ts';
import { TASKS, WorkerProcess } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';

const redis = useRedis();
const queue = useQueue(redis);
const folder = useFolder();
const workers = useWorkerProcesses(redis);

/** A module whose default export notes what it is called with in a file. */
function noting(name: string, to: string): Promise<string> {
  return folder.write(
    name,
    `import { appendFileSync } from 'node:fs';
    export default (error, job) => {
      appendFileSync(${JSON.stringify(to)}, JSON.stringify([${JSON.stringify(name)}, error instanceof RangeError, error.message, job.jobId]) + '\\n');
    };`,
  );
}

describe('rq-worker --exception-handler', () => {
  it('calls each module’s default export, in their order, for each run that failed', async () => {
    const notes = folder.of('notes');
    const [one, two] = [await noting('one.mjs', notes), await noting('two.mjs', notes)];
    const job = await queue.enqueue('fail', ['on purpose']);
    await workers.runs([], '-b', '--exception-handler', one, '--exception-handler', two);
    const lines = (await readFile(notes, 'utf8')).trimEnd().split('\n');
    expect(lines.map(line => JSON.parse(line) as unknown)).toEqual([
      ['one.mjs', true, 'on purpose', job.id],
      ['two.mjs', true, 'on purpose', job.id],
    ]);
  });

  it('waits for what it began, before the process ends', async () => {
    const notes = folder.of('late');
    const path = await folder.write(
      'late.mjs',
      `import { writeFile } from 'node:fs/promises';
      import { setTimeout as sleep } from 'node:timers/promises';
      export default async () => { await sleep(300); await writeFile(${JSON.stringify(notes)}, 'sent'); };`,
    );
    await queue.enqueue('fail', ['on purpose']);
    await workers.runs([], '-b', '--exception-handler', path);
    expect(await readFile(notes, 'utf8')).toBe('sent');
  });

  it('logs one that throws, with its stack, and goes on', async () => {
    const path = await folder.write(
      'broken.mjs',
      "export default () => { throw new Error('broken hook'); };",
    );
    const failed = await queue.enqueue('fail', ['on purpose']);
    const job = await queue.enqueue('add', [1, 2]);
    const { err } = await workers.runs([], '-b', '--exception-handler', path);
    expect(err).toMatch(
      /A hook of onError failed with job \S+: broken hook\n {4}Error: broken hook\n.*broken\.mjs/,
    );
    expect(await failed.getStatus()).toBe('failed');
    expect(await job.result).toBe(3);
  });

  it.each([
    [
      'that exports no default',
      'export const hook = () => {};',
      /default export must be a function.*undefined/,
    ],
    ['whose default is no function', 'export default {};', /default export must be a function.*an object/],
    ['that throws', "throw new Error('at once');", /at once/],
  ])('exits with 1 and one line for a module %s', async (what, text, said) => {
    const path = await folder.write(`${what.replaceAll(' ', '-')}.mjs`, text);
    const worker = new WorkerProcess(['-b', '-u', redis.url, '-f', TASKS, '--exception-handler', path]);
    expect(await worker.exit()).toEqual({ code: 1, signal: null });
    expect(worker.err).toMatch(/^rq-worker: No exception handler can be loaded from .*\n$/);
    expect(worker.err).toMatch(said);
    expect(worker.err).toContain(path);
  });

  it('waits for a module that awaits without end, and says so', async () => {
    const path = await folder.write(
      'unsettled.mjs',
      'await new Promise(() => {});\nexport default () => {};',
    );
    const worker = new WorkerProcess(['-b', '-u', redis.url, '-f', TASKS, '--exception-handler', path]);
    try {
      await worker.said(/unsettled\.mjs has been loading for 5 s/);
      expect(worker.child.exitCode).toBeNull();
    } finally {
      await worker.end();
    }
  });

  it('exits with 1 for a file that is missing', async () => {
    const worker = new WorkerProcess(['-b', '-u', redis.url, '-f', TASKS, '--exception-handler', './no.mjs']);
    expect(await worker.exit()).toEqual({ code: 1, signal: null });
    expect(worker.err).toMatch(/^rq-worker: .*"\.\/no\.mjs".*there is no file.*\n$/);
  });
});
