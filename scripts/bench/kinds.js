/** How each kind of measure is put together from parts: what is done before, what on the clock, what is checked after. */
import { enqueueBare, runBare } from './bare.js';
import { perform, start } from './subject.js';

/** @typedef {import('./types.d.ts').Cell} Cell */
/** @typedef {import('./types.d.ts').Figures} Figures */
/** @typedef {import('./types.d.ts').Order} Order */

/** Processes that share the jobs of the measure `four`. */
const WORKERS = 4;
/** Processes that the idle workers live in. */
const IDLE_PROCESSES = 4;

/** @type {Readonly<Record<import('./types.d.ts').Kind, (cell: Cell) => Promise<Figures>>>} */
export const KINDS = {
  enqueue: cell => (cell.subject === 'bare' ? enqueueBare(cell) : perform(part(cell, 'enqueue'))),

  async run(cell) {
    if (cell.subject === 'bare') return runBare(cell);
    await perform(part(cell, 'fill', { jobs: jobsOf(cell) }));
    return perform(part(cell, 'drain'));
  },

  async roundTrip(cell) {
    // Python's processes have their worker with them
    const worker = start(part(cell, 'serve', { concurrency: 10 }));
    await worker.ready;
    const figures = await perform(part(cell, 'roundTrip'));
    worker.end();
    await worker.figures;
    return figures;
  },

  async bytes(cell) {
    const { redis } = cell;
    const jobs = jobsOf(cell);
    const empty = await redis.restingBytes();
    await perform(part(cell, 'fill', { jobs }));
    const filled = await redis.restingBytes();
    await perform(part(cell, 'drain'));
    const finished = await redis.restingBytes();
    return { queued: (filled - empty) / jobs, finished: (finished - empty) / jobs };
  },

  async four(cell) {
    const { warm, jobs } = cell.order;
    await perform(part(cell, 'fill', { jobs: jobsOf(cell) }));
    const workers = Array.from({ length: WORKERS }, () => start(part(cell, 'drain', { shared: true })));
    const found = /** @type {{ finished: number, marks: number[] }[]} */ (
      /** @type {unknown} */ (await Promise.all(workers.map(worker => worker.figures)))
    );
    const finished = found.reduce((sum, one) => sum + one.finished, 0);
    if (finished !== jobsOf(cell)) throw new Error(`${finished} of ${jobsOf(cell)} jobs were run`);
    const marks = found.flatMap(one => one.marks).toSorted((a, b) => a - b);
    const first = Math.floor((marks.length * warm) / (warm + jobs));
    const seconds = (Number(marks.at(-1)) - Number(marks[first])) / 1_000;
    const perMark = finished / marks.length;
    return { perSecond: ((marks.length - 1 - first) * perMark) / seconds };
  },

  async growth(cell) {
    const { queued = 0, scheduled = 0, idle = 0 } = cell.measure.before ?? {};
    const small = cell.quick ? 50 : 1;
    if (queued > 0) await perform(part(cell, 'fill', { jobs: queued / small, payload: 0 }));
    if (scheduled > 0) await perform(part(cell, 'schedule', { jobs: scheduled / small, payload: 0 }));
    const workers = idle / (cell.quick ? 5 : 1) / IDLE_PROCESSES;
    const idlers =
      idle === 0 ? [] : Array.from({ length: IDLE_PROCESSES }, () => start(part(cell, 'idle', { workers })));
    await Promise.all(idlers.map(idler => idler.ready));
    const enqueue = await perform(part(cell, 'enqueue', { mode: 'flight' }));
    const run = await perform(part(cell, 'drain'));
    for (const idler of idlers) idler.end();
    await Promise.all(idlers.map(idler => idler.figures));
    return { enqueue: enqueue['perSecond'] ?? NaN, run: run['perSecond'] ?? NaN };
  },
};

function jobsOf(/** @type {Cell} */ { order: { warm, jobs } }) {
  return warm + jobs;
}

/**
 * @param {Cell} cell
 * @param {string} name
 * @param {Partial<Order>} changes
 * @returns {Order}
 */
function part(cell, name, changes = {}) {
  return { ...cell.order, part: name, ...changes };
}
