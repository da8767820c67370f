/** Bytes that the jobs of each queue take, by where they are: from some of them, measured one by one. */
import { checkCount, checkOptions } from './options.ts';
import { STEP, type OperatorStore } from './operator-store.ts';

/** Jobs of a place that are measured. */
const SAMPLES = 100;

export interface MemoryOptions {
  /** Jobs that are measured of each list and registry; 100 by default, and all where there are no more. */
  readonly samples?: number;
  readonly signal?: AbortSignal;
}

const PLACES = [
  ['queued', 'list'],
  ['started', 'started'],
  ['finished', 'finished'],
  ['failed', 'failed'],
  ['deferred', 'deferred'],
  ['scheduled', 'scheduled'],
  ['canceled', 'canceled'],
  ['parked', 'parked'],
] as const;

/** What the jobs of one list or registry take. */
export interface PlaceMemory {
  readonly queue: string;
  readonly place: (typeof PLACES)[number][0];
  readonly jobs: number;
  /** How many of them were measured. */
  readonly sampled: number;
  /** Of the list or registry itself. */
  readonly keyBytes: number;
  /** Of its jobs, their results and dependencies, as far as the measured ones tell. */
  readonly jobBytes: number;
  readonly bytes: number;
}

export interface MemoryReport {
  /** Places that hold something. */
  readonly places: readonly PlaceMemory[];
  readonly bytes: number;
  readonly jobs: number;
  readonly sampled: number;
}

/** See `Rq.memory`. */
export async function measure(
  store: OperatorStore,
  names: readonly string[],
  options?: MemoryOptions,
): Promise<MemoryReport> {
  const { samples = SAMPLES, signal } = checkOptions(options, ['samples', 'signal'], 'memory');
  checkCount(samples, 'samples', 1);
  const places: PlaceMemory[] = [];
  for (const queue of names) {
    const unit = store.keys.queue(queue);
    const sizes = await store.sizes(
      PLACES.map(([place, name]) => [unit[name], place === 'queued' ? 'list' : 'zset'] as const),
    );
    for (const [i, [place, name]] of PLACES.entries()) {
      const jobs = sizes[i] ?? 0;
      if (jobs === 0) continue;
      if (signal?.aborted === true) break;
      const members = await store.sample(unit[name], place === 'queued' ? 'list' : 'zset', jobs, samples);
      const ids = place === 'started' ? members.map(member => member.replace(/:[^:]*$/, '')) : members;
      const [keyBytes = 0] = await store.bytes([unit[name]], false);
      const measured = await bytesOfJobs(store, ids);
      const jobBytes = ids.length === 0 ? 0 : Math.round((measured / ids.length) * jobs);
      places.push({
        queue,
        place,
        jobs,
        sampled: ids.length,
        keyBytes,
        jobBytes,
        bytes: keyBytes + jobBytes,
      });
    }
  }
  const sum = (of: (place: PlaceMemory) => number): number => places.reduce((all, each) => all + of(each), 0);
  return { places, bytes: sum(it => it.bytes), jobs: sum(it => it.jobs), sampled: sum(it => it.sampled) };
}

async function bytesOfJobs(store: OperatorStore, ids: readonly string[]): Promise<number> {
  const { keys } = store;
  let sum = 0;
  for (let first = 0; first < ids.length; first += STEP) {
    const part = ids.slice(first, first + STEP);
    // fields differ much in length; who waits for a job may be many, and their ids are alike
    const hashes = await store.bytes(
      part.flatMap(id => [keys.job(id), keys.results(id)]),
      true,
    );
    const sets = await store.bytes(
      part.flatMap(id => [keys.dependents(id), keys.dependencies(id)]),
      false,
    );
    sum += [...hashes, ...sets].reduce((bytes, size) => bytes + size, 0);
  }
  return sum;
}
