/** Jobs put on a queue for as long as a fault lasts. */
import type { FaultCase, Load } from './fault-case.ts';

/** Enqueues in rounds, with a pause between two, while the fault goes on; ends with it. Gives what the fault gave. */
export async function under<T>(c: FaultCase, load: Load, fault: Promise<T>): Promise<T> {
  const state = { over: false };
  const over = fault.finally(() => (state.over = true));
  const { atOnce = 10, pause = 50 } = load;
  const loading = (async () => {
    while (!state.over) await c.enqueue(atOnce, { ...load, atOnce, pause });
  })();
  await Promise.all([over, loading]);
  return over;
}
