/** What a ledger says of runs that are not to be too many at a time, or too often. */
import type { Ledger } from './ledger.ts';

/** The most runs of these jobs that were under way at a time. A run of a process that was killed ended with it. */
export function mostAtOnce(ledger: Ledger, ids: readonly string[]): number {
  const { entries, faults } = ledger.read();
  const moments: [at: number, change: 1 | -1][] = [];
  for (const id of ids) {
    const { starts, ends } = entries.get(id) ?? { starts: [], ends: [] };
    for (const start of starts) {
      const over = ends.filter(({ at, pid }) => pid === start.pid && at >= start.at);
      // noted just before the signal: a run may begin in between
      const killed = faults.filter(({ pid }) => pid === start.pid);
      const until = [...over.map(({ at }) => at), ...killed.map(({ at }) => Math.max(at, start.at))];
      moments.push([start.at, 1], [Math.min(...until), -1]);
    }
  }
  // what ended in the millisecond in which another one began had ended before
  moments.sort(([a, x], [b, y]) => a - b || x - y);
  let [now, most] = [0, 0];
  for (const [, change] of moments) most = Math.max(most, (now += change));
  return most;
}

/** Ids of jobs with more runs than their first and those that their recoveries explain. */
export function unexplainedRuns(ledger: Ledger, recoveries: ReadonlyMap<string, number>): string[] {
  return [...ledger.counts('start')].flatMap(([id, runs]) =>
    runs > 1 + (recoveries.get(id) ?? 0) ? [`${id}: ${runs} runs`] : [],
  );
}
