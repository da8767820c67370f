import { describe, expect, it } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { useFolder } from '../support/folder.ts';
import { useRedis } from '../support/in-process.ts';
import { TASKS, WorkerProcess } from '../support/worker-process.ts';
import { useWorkerProcesses } from '../support/worker-processes.ts';

/** Nobody listens there; what is refused is refused before anybody asks. */
const NOWHERE = 'redis://127.0.0.1:1';
const ONE_LINE = /^rq-worker: .*\n$/;

const redis = useRedis();
const folder = useFolder();
const workers = useWorkerProcesses(redis);

describe('rq-worker --cron', () => {
  it('sets the crons of each module, and says when they come', async () => {
    const one = await folder.write(
      'one.mjs',
      `import { nothing } from ${JSON.stringify(TASKS)};
      export default [{ pattern: '@daily', fn: nothing }, { pattern: '@hourly', fn: 'sum', args: [[1, 2]], queue: 'low' }];`,
    );
    const two = await folder.write(
      'two.mjs',
      `export const cron = [{ pattern: '0 9 * * 1-5', fn: 'add', args: [1, 2], timezone: 'Asia/Tokyo', timeout: '1h' }];`,
    );
    const worker = await workers.runs(['high', 'low'], '--burst', '--cron', one, '--cron', two);
    await using high = new Queue('high', { connection: redis.url });
    await using low = new Queue('low', { connection: redis.url });
    const shown = async (q: Queue): Promise<unknown> =>
      (await q.crons()).map(({ name, pattern, timezone }) => `${name} ${pattern} ${timezone}`).toSorted();
    expect(await shown(high)).toEqual(['add 0 9 * * 1-5 Asia/Tokyo', 'nothing @daily UTC']);
    expect(await shown(low)).toEqual(['sum @hourly UTC']);
    const next = (await low.crons())[0]?.nextRunAt?.toISOString();
    expect(worker.out).toContain(`low: Cron sum (@hourly, UTC) comes next at ${next}`);
  });

  it('keeps the next run times when the worker starts again', async () => {
    const path = await folder.write('again.mjs', `export default [{ pattern: '@yearly', fn: 'nothing' }];`);
    await workers.runs(['default'], '--burst', '--cron', path);
    await redis.client.zadd('rq:cron-ticks:default', 4_000_000_000, 'nothing');
    await workers.runs(['default'], '--burst', '--cron', path);
    expect(await redis.client.zscore('rq:cron-ticks:default', 'nothing')).toBe('4000000000');
  });

  it('runs them, and says so', async () => {
    const path = await folder.write(
      'often.mjs',
      `export default [{ pattern: '* * * * * *', fn: 'nothing' }];`,
    );
    const worker = workers.start(['default'], '--cron', path);
    const [, id] = await worker.said(
      /default: Cron nothing queued \((cron-nothing-\d{8}T\d{6}Z-[0-9a-f]{8})\)/,
    );
    const [said] = await worker.said(/default: Job OK \(\S+\)/);
    expect(said).toBe(`default: Job OK (${id})`);
  });

  it.each<[what: string, text: string, cause: RegExp]>([
    ['throws', 'throw new Error("boom at load\\nand more")', /boom at load/],
    ['has a syntax error', 'export default [ =>', /Unexpected token/],
    [
      'exports no list',
      'export const crons = [];',
      /must be an array of \{ pattern, fn, … \}, not undefined/,
    ],
    ['exports something else', 'export default { pattern: "@daily" };', /must be an array.*an object/],
    ['has no cron in its list', 'export default [5];', /crons\[0\]: a cron must be .*not 5/],
    ['has a wrong pattern', 'export default [{ pattern: "0 9 * *", fn: "f" }];', /crons\[0\]: .*"0 9 \* \*"/],
    [
      'has a wrong time zone',
      'export default [{ pattern: "@daily", fn: "f", timezone: "Mars" }];',
      /crons\[0\]: timezone .*"Mars"/,
    ],
    [
      'has a typing mistake',
      'export default [{ pattern: "@daily", fn: "f", queu: "q" }];',
      /"queu": did you mean "queue"/,
    ],
    [
      'has two of one name',
      'export default [{ pattern: "@daily", fn: "f" }, { pattern: "@hourly", fn: "f" }];',
      /Two crons of queue default are named "f"/,
    ],
  ])('exits with 1 and one line, with the cause, for a module that %s', async (what, text, cause) => {
    const path = await folder.write(`${what.replaceAll(' ', '-')}.mjs`, text);
    const worker = workers.keep(new WorkerProcess(['-u', NOWHERE, '-f', TASKS, '--cron', path]));
    const { code } = await worker.exit();
    expect(worker.err).toMatch(cause);
    expect(worker.err).toContain(`Crons can't be loaded from "${path}"`);
    expect(worker.err).toMatch(ONE_LINE);
    expect(worker.out).toBe('');
    expect(code).toBe(1);
  });

  it('exits with 1 and one line for two modules with a cron of one name', async () => {
    const one = await folder.write('first.mjs', 'export default [{ pattern: "@daily", fn: "f" }];');
    const two = await folder.write('second.mjs', 'export default [{ pattern: "@hourly", fn: "f" }];');
    const worker = workers.keep(
      new WorkerProcess(['-u', NOWHERE, '-f', TASKS, '--cron', one, '--cron', two]),
    );
    expect((await worker.exit()).code).toBe(1);
    expect(worker.err).toMatch(/second\.mjs.*Two crons of queue default are named "f"/);
    expect(worker.err).toMatch(ONE_LINE);
  });

  it('exits with 1 and one line for a file that is missing', async () => {
    const path = folder.of('missing.mjs');
    const worker = workers.keep(new WorkerProcess(['-u', NOWHERE, '-f', TASKS, '--cron', path]));
    expect((await worker.exit()).code).toBe(1);
    expect(worker.err).toMatch(/there is no file/);
    expect(worker.err).toMatch(ONE_LINE);
  });
});
