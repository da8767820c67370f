/** `rq info --memory`: what jobs take in Redis. */
import type { MemoryReport, Rq } from '../../lib/index.ts';
import { print, printJson, safe, type Shared } from '../cli.ts';
import { columns } from '../table.ts';

interface Flags extends Shared {
  readonly samples?: number;
}

export async function showMemory(rq: Rq, queues: readonly string[], flags: Flags): Promise<void> {
  const { samples } = flags;
  const report = await rq.memory(samples === undefined ? { queues } : { queues, samples });
  if (flags.json === true) printJson(report);
  else for (const line of linesOf(report)) print(line);
}

function linesOf({ places, bytes, jobs, sampled }: MemoryReport): string[] {
  const rows = places.map(it => [
    safe(it.queue),
    it.place,
    `${count(it.jobs)} jobs`,
    sizeOf(it.bytes),
    `${sizeOf(it.jobBytes / it.jobs)} a job`,
    `${count(it.sampled)} sampled`,
  ]);
  const exact = sampled === jobs ? '' : ', the others are estimated';
  return [
    ...columns(rows, [2, 3, 4, 5]),
    `${sizeOf(bytes)} for ${count(jobs)} jobs: ${count(sampled)} of them were measured${exact}`,
  ];
}

function count(n: number): string {
  return n.toLocaleString('en');
}

function sizeOf(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}
