import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Logger } from '../../lib/index.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

/** A pino whose lines are kept, and what it was told. */
function pinoThat(level: string): {
  readonly logger: Logger;
  readonly lines: () => Record<string, unknown>[];
} {
  let text = '';
  const logger = pino({ level }, { write: (line: string) => void (text += line) });
  const lines = (): Record<string, unknown>[] =>
    text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>);
  return { logger, lines };
}

const functions = {
  ok: () => 1,
  fail() {
    throw new RangeError('too far: 100 %s');
  },
};

describe('a worker that logs to pino', () => {
  it('hands it the fields of a job, and the message as it stands', async () => {
    const job = await q.enqueue('ok', ['%d'], { description: 'ok(%d %s)' });
    const { logger, lines } = pinoThat('info');
    const worker = makeWorker(functions, { logger });
    await worker.work({ burst: true });
    const of = { level: 30, worker: worker.name, job_id: job.id, queue: 'q', function: 'ok' };
    expect(lines()).toContainEqual(expect.objectContaining({ ...of, msg: `q: ok(%d %s) (${job.id})` }));
    expect(lines()).toContainEqual(
      expect.objectContaining({ ...of, msg: `q: Job OK (${job.id})`, duration_ms: expect.any(Number) }),
    );
  });

  it('hands it an error by its name, message and stack, whatever its serializer makes of objects', async () => {
    const job = await q.enqueue('fail');
    const { logger, lines } = pinoThat('error');
    await makeWorker(functions, { logger }).work({ burst: true });
    const [line, ...others] = lines();
    expect(others).toEqual([]);
    expect(line).toMatchObject({ level: 50, msg: `q: Job failed (${job.id})`, job_id: job.id });
    const stack = expect.stringMatching(/^RangeError: too far: 100 %s\n {4}at fail /);
    expect(line?.['err']).toEqual({ type: 'RangeError', message: 'too far: 100 %s', stack });
  });

  it('writes the same fields as rq-worker --log-format json', async () => {
    await q.enqueue('ok');
    const { logger, lines } = pinoThat('info');
    await makeWorker(functions, { logger }).work({ burst: true });
    const names = ['level', 'time', 'pid', 'hostname', 'worker', 'msg'];
    for (const line of lines()) expect(Object.keys(line)).toEqual(expect.arrayContaining(names));
  });
});
