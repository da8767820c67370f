/** The round trips of a worker's calls to Redis, taken where its store makes them: a worker without metrics has none of this. */
import type { WorkerStore } from '../worker-store.ts';

const CALLS = [
  'advance',
  'heartbeat',
  'renew',
  'giveBack',
  'releaseClaims',
  'findRuns',
  'queueDue',
  'sweep',
] as const;

type Method = (...args: unknown[]) => Promise<unknown>;

/** Has each of the store's calls told, by its name, with the seconds that it took. */
export function watchCalls(
  store: WorkerStore,
  called: (call: string, seconds: number, failed: boolean) => void,
): void {
  for (const call of CALLS) {
    const method = store[call] as unknown as Method;
    const watched: Method = async (...args) => {
      const began = performance.now();
      let failed = true;
      try {
        const reply = await method.apply(store, args);
        failed = false;
        return reply;
      } finally {
        called(call, (performance.now() - began) / 1000, failed);
      }
    };
    Object.defineProperty(store, call, { value: watched });
  }
}
