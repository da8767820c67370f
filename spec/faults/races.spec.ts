import { describe, expect } from 'vitest';
import { Queue } from '../../lib/index.ts';
import { unrest } from '../support/account.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { ProducerProcess, type Verb } from '../support/producer-process.ts';

async function producers(c: FaultCase, count: number): Promise<ProducerProcess[]> {
  const all = Array.from({ length: count }, () =>
    c.closing(new ProducerProcess(c.url('rq-producer'), c.ledger.file)),
  );
  await Promise.all(all.map(producer => producer.ready));
  return all;
}

async function atRest(c: FaultCase): Promise<void> {
  const left = (): Promise<object> => unrest(c.redis.client, ['default']);
  await expect.poll(left, { timeout: 60_000, interval: 50 }).toEqual({});
}

describe('eight processes that enqueue one and the same jobId at once', () => {
  const ids = Array.from({ length: ALL ? 500 : 25 }, (_, n) => `same-${n}`);
  const ONE = [...Array.from({ length: 7 }, () => 'RQ_DUPLICATE_JOB'), 'ok'];

  faultCase('have one call accepted, and again when that job has ended', { timeout: 300_000 }, async c => {
    const all = await producers(c, 8);
    const accepted = async (id: string): Promise<void> => {
      const said = await Promise.all(all.map(producer => producer.call('enqueue', id)));
      c.ledger.told(id, 'acknowledged');
      expect(said.toSorted()).toEqual(ONE);
    };
    for (const id of ids) await accepted(id);
    expect(await c.q.getJobIds()).toEqual(ids);
    const worker = c.worker('--concurrency', '10');
    await c.ended(ids.length);
    await atRest(c);
    await worker.end('SIGTERM');
    // each id is replaced while the eight look
    for (const id of ids) await accepted(id);
    expect(await c.q.getJobIds()).toEqual(ids);
    expect(await c.q.finishedRegistry.count()).toBe(0);
  });

  faultCase(
    'have as many jobs run as calls were accepted, while workers end them',
    { timeout: 300_000 },
    async c => {
      const all = await producers(c, 8);
      for (let n = 0; n < 2; n++) c.worker('--concurrency', '5');
      const accepted = new Map<string, number>();
      for (const id of ids) {
        // until a job has ended between two of them: the workers may still be starting
        const ends = performance.now() + 20_000;
        const replaced = (): boolean => (accepted.get(id) ?? 0) > 1;
        for (let round = 0; round < 4 || (!replaced() && performance.now() < ends); round++) {
          const said = await Promise.all(all.map(producer => producer.call('enqueue', id)));
          const ok = said.filter(one => one === 'ok').length;
          expect(said.filter(one => one !== 'ok' && one !== 'RQ_DUPLICATE_JOB')).toEqual([]);
          accepted.set(id, (accepted.get(id) ?? 0) + ok);
        }
        c.ledger.told(id, 'acknowledged');
      }
      await atRest(c);
      expect(c.ledger.counts('end')).toEqual(accepted);
      expect(Math.min(...accepted.values()), 'ended jobs were replaced').toBeGreaterThan(1);
      c.note = `${[...accepted.values()].reduce((sum, n) => sum + n, 0)} accepted`;
    },
  );
});

describe('cancel, delete, requeue and stop at the moment a run ends', () => {
  faultCase('leave each job in one place, with what was answered', { timeout: 600_000 }, async c => {
    const tries = ALL ? 10_000 : 300;
    for (let n = 0; n < 3; n++) c.worker('--concurrency', '10');
    const queues = [0, 1].map(() => c.closing(new Queue('default', { connection: c.url('rq-producer') })));
    const local = queues.map(q => async (verb: Verb, id: string): Promise<string> => {
      const job = await q.fetchJob(id);
      if (job === undefined) return 'gone';
      const act = {
        cancel: () => job.cancel(),
        delete: () => job.delete(),
        requeue: () => job.requeue(),
        stop: () => job.stop(),
        enqueue: () => Promise.resolve(),
        unique: () => Promise.resolve(),
      }[verb];
      return act().then(
        () => 'ok',
        (error: Error & { code?: string }) => error.code ?? error.message,
      );
    });
    const remote = (await producers(c, 2)).map(
      producer => (verb: Verb, id: string) => producer.call(verb, id),
    );
    const callers = [...local, ...remote];

    /** What was called for each job, and what was answered. */
    const calls = new Map<string, { verb: Verb; said: string }[]>();
    const pending: Promise<unknown>[] = [];
    let ms = 0;
    // it is the moment that is struck: each verb is to come before the end, and after it
    const both = ['ok', 'RQ_INVALID_JOB_OPERATION'];
    const each = ['cancel', 'requeue', 'stop'].flatMap(verb => both.map(answer => `${verb} ${answer}`));
    const unseen = (): string[] => {
      const seen = new Set([...calls.values()].flat().map(({ verb, said }) => `${verb} ${said}`));
      return each.filter(answer => !seen.has(answer));
    };
    let early = 7;
    const strike = async (id: string, verb: Verb): Promise<void> => {
      const call = c.pick(callers);
      await new Promise(resolve => setTimeout(resolve, Math.max(0, ms + c.between(-early, 4))));
      const said = await call(verb, id);
      if (verb === 'delete') c.ledger.deleted(id);
      calls.get(id)?.push({ verb, said });
    };
    const listener = c.redis.client.duplicate();
    c.atEnd(() => listener.disconnect());
    await listener.psubscribe('rq:status:default:*');
    listener.on('pmessage', (_, __, text: string) => {
      const { job_id: id, status } = JSON.parse(text) as { job_id: string; status: string };
      if (status !== 'started' || calls.has(id)) return;
      calls.set(id, []);
      const verbs = Array.from({ length: c.pick([1, 1, 2, 3]) }, () =>
        c.pick<Verb>(['cancel', 'delete', 'requeue', 'stop']),
      );
      pending.push(...verbs.map(verb => strike(id, verb)));
    });

    const ids: string[] = [];
    while (ids.length < tries || unseen().length > 0) {
      // a slow machine's strikes come late
      if (ids.length >= tries) early += 5;
      ms = c.between(5, 20);
      ids.push(...(await c.enqueue(50, { ms, atOnce: 50 })));
      await expect.poll(() => ids.every(id => calls.has(id)), { timeout: 60_000, interval: 5 }).toBe(true);
      await Promise.all(pending.splice(0));
    }
    await atRest(c);

    const answers: Record<string, number> = {};
    const wrong: string[] = [];
    for (const id of ids) {
      const of = calls.get(id) ?? [];
      const [status, result] = await c.redis.client.hmget(`rq:job:${id}`, 'status', 'result');
      const was = of
        .map(({ verb, said }) => `${verb} ${said}`)
        .toSorted()
        .join(', ');
      for (const { verb, said } of of) answers[`${verb} ${said}`] = (answers[`${verb} ${said}`] ?? 0) + 1;
      const may = fitting(of);
      if (!may.includes(status ?? 'gone')) wrong.push(`${id}: ${status}, after ${was}`);
      if (status !== 'finished' && result !== null && result !== undefined)
        wrong.push(`${id}: ${status} with a result`);
      if (status === null && (await traces(c, id)) > 0)
        wrong.push(`${id}: left something behind, after ${was}`);
    }
    expect(wrong).toEqual([]);
    const said = Object.entries(answers).map(([answer, n]) => `${answer}: ${n}`);
    c.note = said.toSorted((a, b) => a.localeCompare(b)).join(', ');
    expect(Object.keys(answers)).toEqual(expect.arrayContaining(each));
  });
});

/** The statuses that a job may have in the end, after what was answered to the calls. */
function fitting(calls: readonly { verb: Verb; said: string }[]): string[] {
  const ok = (verb: Verb): boolean => calls.some(call => call.verb === verb && call.said === 'ok');
  if (ok('delete')) return ['gone'];
  const ends = ['finished', ...(ok('stop') ? ['stopped'] : []), ...(ok('cancel') ? ['canceled'] : [])];
  // a cancellation that nothing followed is the last word
  return ok('cancel') && !ok('requeue') ? ['canceled'] : ends;
}

/** How many keys and places hold something of a job. */
async function traces(c: FaultCase, id: string): Promise<number> {
  const { client } = c.redis;
  let found = await client.exists(
    `rq:job:${id}`,
    `rq:results:${id}`,
    `rq:job:${id}:dependents`,
    `rq:job::${id}:dependencies`,
  );
  for (const place of ['finished', 'failed', 'canceled', 'deferred', 'scheduled'])
    if ((await client.zscore(`rq:${place}:default`, id)) !== null) found++;
  return found;
}
