import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { faultCase, type FaultCase } from '../support/fault-case.ts';

/** What `told` wrote: a line for each call. */
function notes(c: FaultCase): { readonly file: string; readonly lines: () => string[] } {
  const file = `${c.ledger.file}.told`;
  writeFileSync(file, '');
  return { file, lines: () => readFileSync(file, 'utf8').split('\n').slice(0, -1) };
}

describe('callbacks of a worker that dies', () => {
  faultCase('during the run: the worker that runs it again calls them, once', {}, async c => {
    const { file, lines } = notes(c);
    const options = { meta: { file }, resultTtl: -1, onSuccess: 'told', onFailure: 'told' };
    const first = c.worker();
    const job = await c.q.enqueue('firstRun', [c.ledger.file, 'sleep', 60_000], options);
    c.ledger.told(job.id, 'acknowledged');
    await expect.poll(() => c.ledger.counts('start').size, { timeout: 20_000 }).toBe(1);
    await c.kill(first);
    c.worker();
    await expect.poll(lines, { timeout: 30_000 }).toHaveLength(1);
    expect(lines()).toEqual([`${job.id} finished ${String(await job.result)}`]);
  });

  faultCase('in the callback: the job has finished, and nobody calls it again', {}, async c => {
    const first = c.worker();
    const job = await c.q.enqueue('ledger', [c.ledger.file, null, 0], { resultTtl: -1, onSuccess: 'dies' });
    c.ledger.told(job.id, 'acknowledged');
    expect((await first.exit()).signal).toBe('SIGABRT');
    expect(await job.getStatus()).toBe('finished');
    const second = c.worker();
    const [next] = await c.enqueue(1);
    // a run notes its end before its outcome is handed in
    await expect
      .poll(() => c.q.finishedRegistry.getJobIds(), { timeout: 60_000 })
      .toEqual(expect.arrayContaining([job.id, next]));
    expect(c.ledger.counts('start').get(job.id)).toBe(1);
    expect((await second.end('SIGTERM')).code).toBe(0);
  });

  faultCase('each time: nobody is told of a job that the janitor gives up', {}, async c => {
    const { file, lines } = notes(c);
    const options = { meta: { file }, redeliver: false, onFailure: 'told', onSuccess: 'told' };
    const first = c.worker();
    const job = await c.q.enqueue('firstRun', [c.ledger.file, 'sleep', 60_000], options);
    c.ledger.told(job.id, 'acknowledged');
    await expect.poll(() => c.ledger.counts('start').size, { timeout: 20_000 }).toBe(1);
    await c.kill(first);
    const second = c.worker();
    await expect.poll(() => job.getStatus(), { timeout: 30_000 }).toBe('failed');
    expect((await second.end('SIGTERM')).code).toBe(0);
    expect(lines()).toEqual([]);
  });
});
