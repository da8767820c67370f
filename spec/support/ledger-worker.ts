/** A worker in this process, whose function `ledger` writes what the one of worker processes does. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCurrentJob, Worker, type WorkerOptions } from '../../lib/index.ts';
import type { FaultCase } from './fault-case.ts';

interface Options extends Partial<WorkerOptions> {
  readonly queues?: readonly string[];
  /** What each run does besides. */
  readonly also?: () => Promise<void>;
}

/** Is at work when this returns, and ends with the case. Its lease is 3 s. */
export function ledgerWorker(c: FaultCase, url: string, options: Options = {}): Worker {
  const { queues = ['default'], also, ...rest } = options;
  const note = (event: 'start' | 'end', id: string): void =>
    appendFileSync(c.ledger.file, `${event} ${id} ${process.pid} ${Date.now()}\n`);
  const ledger = async (_: string, __: null, ms: number): Promise<string> => {
    const id = getCurrentJob()?.id ?? '';
    note('start', id);
    if (ms > 0) await sleep(ms);
    await also?.();
    note('end', id);
    return id;
  };
  const worker = new Worker(queues, { connection: url, functions: { ledger }, lease: '3s', ...rest });
  c.atEnd(() => worker.stop('cold'));
  void worker.work();
  return worker;
}
