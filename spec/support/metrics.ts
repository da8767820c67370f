/** A worker's metrics, asked for over HTTP and read as Prometheus reads them. */
import { once } from 'node:events';
import type { Worker } from '../../lib/index.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Values by name and labels, as they stand in the text: `rq_queue_length{queue="q"}`. */
export type Samples = ReadonlyMap<string, number>;

export async function scrape(url: string): Promise<Samples> {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url}/metrics answers ${response.status}: ${text}`);
  return new Map(
    text
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
      .map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

/** Values of one metric, by its labels. */
export function samplesOf(samples: Samples, name: string): Record<string, number> {
  const pairs = [...samples].filter(([key]) => key === name || key.startsWith(`${name}{`));
  return Object.fromEntries(pairs.map(([key, value]) => [key.slice(name.length), value]));
}

/** Status and text of `/healthz` or `/readyz`; waits for so many milliseconds. */
export async function ask(
  url: string,
  path: string,
  ms: number = 10_000,
): Promise<[status: number, text: string]> {
  const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(ms) });
  return [response.status, await response.text()];
}

/** Begins to work; gives where its metrics are once it listens. */
export async function served(
  worker: Worker,
): Promise<{ readonly url: string; readonly working: Promise<void> }> {
  const [serving, listening] = [once(worker, 'serving'), once(worker, 'listening')];
  const working = worker.work();
  const [url] = (await Promise.race([serving, working.then(() => ['nowhere'])])) as [string];
  await Promise.race([listening, working]);
  return { url, working };
}

/** Where a worker process serves its metrics. */
export async function servedBy(worker: WorkerProcess): Promise<string> {
  const [, url = ''] = await worker.said(/served at (http:\S+)\/metrics/);
  return url;
}
