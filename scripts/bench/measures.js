/** What is measured: sizes, subjects, and the figures that come of it. */

/** @typedef {import('./types.d.ts').Measure} Measure */

export const NODE_PEERS = ['bullmq', 'bee-queue'];
export const SUBJECTS = ['rq-node', ...NODE_PEERS, 'bare', 'python-rq', 'celery'];

const NODE = ['rq-node', ...NODE_PEERS];
const RATE = /** @type {const} */ ({ unit: 'jobs/s', better: 'more' });
const MICROSECONDS = /** @type {const} */ ({ unit: 'µs', better: 'less' });
const MILLISECONDS = /** @type {const} */ ({ unit: 'ms', better: 'less' });
const BYTES = /** @type {const} */ ({ unit: 'bytes', better: 'less' });

const many = Array.from({ length: 100 }, (_, i) => `bench-${i}`);

/**
 * @param {number} concurrency
 * @param {Pick<Measure, 'subjects' | 'size' | 'quick'> & Partial<Measure>} rest
 * @returns {Measure}
 */
function run(concurrency, rest) {
  return {
    name: `run-${concurrency}`,
    kind: 'run',
    order: { concurrency },
    figures: [{ key: 'perSecond', label: `run, concurrency ${concurrency.toLocaleString('en')}`, ...RATE }],
    ...rest,
  };
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Pick<Measure, 'subjects' | 'size' | 'quick'> & Partial<Measure>} rest
 * @returns {Measure}
 */
function growth(name, label, rest) {
  return {
    name,
    kind: 'growth',
    rounds: 3,
    ...rest,
    order: { concurrency: 100, ...rest.order },
    figures: [
      { key: 'enqueue', label: `enqueue, ${label}`, ...RATE, plain: 'enqueue-flight.perSecond' },
      { key: 'run', label: `run at 100, ${label}`, ...RATE, plain: 'run-100.perSecond' },
    ],
  };
}

/** @type {readonly Measure[]} */
export const MEASURES = [
  {
    name: 'enqueue-one',
    kind: 'enqueue',
    subjects: SUBJECTS,
    size: [1_000, 10_000],
    quick: [1_000, 3_000],
    slow: [100, 1_500],
    order: { mode: 'one' },
    figures: [{ key: 'perSecond', label: 'enqueue, one at a time', ...RATE }],
  },
  {
    name: 'enqueue-flight',
    kind: 'enqueue',
    subjects: [...NODE, 'bare'],
    size: [10_000, 100_000],
    quick: [2_000, 10_000],
    order: { mode: 'flight' },
    figures: [
      { key: 'perSecond', label: 'enqueue, 1,000 in flight', ...RATE },
      { key: 'cpuPerJob', label: 'producer: processor time per job', ...MICROSECONDS },
    ],
  },
  {
    name: 'enqueue-bulk',
    kind: 'enqueue',
    subjects: [...NODE, 'bare', 'python-rq'],
    size: [10_000, 100_000],
    quick: [2_000, 10_000],
    slow: [1_000, 5_000],
    order: { mode: 'bulk' },
    figures: [{ key: 'perSecond', label: 'enqueue, in bulk', ...RATE }],
  },
  run(1, { subjects: SUBJECTS, size: [1_000, 10_000], quick: [300, 2_000], slow: [20, 300] }),
  run(10, {
    subjects: [...NODE, 'bare', 'celery'],
    size: [4_000, 40_000],
    quick: [1_000, 6_000],
    slow: [200, 1_500],
  }),
  run(100, {
    subjects: [...NODE, 'bare'],
    size: [10_000, 90_000],
    quick: [3_000, 12_000],
    figures: [
      { key: 'perSecond', label: 'run, concurrency 100', ...RATE },
      { key: 'cpuPerJob', label: 'worker: processor time per job', ...MICROSECONDS },
      { key: 'redisCpuPerJob', label: 'Redis: processor time per job', ...MICROSECONDS },
      { key: 'rss', label: 'worker: memory after the jobs', ...BYTES },
    ],
  }),
  run(1_000, { subjects: [...NODE, 'bare'], size: [10_000, 90_000], quick: [3_000, 12_000] }),
  run(10, {
    name: 'io-10',
    subjects: NODE,
    size: [1_000, 10_000],
    quick: [300, 1_500],
    order: { concurrency: 10, task: 'io' },
    figures: [{ key: 'perSecond', label: '1 ms jobs, concurrency 10', ...RATE }],
  }),
  run(100, {
    name: 'io-100',
    subjects: NODE,
    size: [5_000, 50_000],
    quick: [2_000, 8_000],
    order: { concurrency: 100, task: 'io' },
    figures: [{ key: 'perSecond', label: '1 ms jobs, concurrency 100', ...RATE }],
  }),
  {
    name: 'round-trip',
    kind: 'roundTrip',
    subjects: [...NODE, 'python-rq', 'celery'],
    size: [300, 3_000],
    quick: [100, 400],
    slow: [20, 200],
    figures: [
      { key: 'p50', label: 'round trip, p50', ...MILLISECONDS },
      { key: 'p99', label: 'round trip, p99', ...MILLISECONDS },
    ],
  },
  {
    name: 'bytes',
    kind: 'bytes',
    subjects: [...NODE, 'python-rq'],
    size: [1_000, 99_000],
    quick: [1_000, 9_000],
    slow: [20, 480],
    order: { concurrency: 100 },
    figures: [
      { key: 'queued', label: 'Redis: bytes per queued job', ...BYTES },
      { key: 'finished', label: 'Redis: bytes per finished job', ...BYTES },
    ],
  },
  {
    name: 'four',
    kind: 'four',
    subjects: NODE,
    size: [20_000, 100_000],
    quick: [6_000, 14_000],
    order: { concurrency: 100 },
    figures: [{ key: 'perSecond', label: 'four workers, concurrency 100 each', ...RATE }],
  },
  growth('growth-queued', '1,000,000 queued', {
    subjects: ['rq-node'],
    size: [5_000, 45_000],
    quick: [3_000, 12_000],
    // a million with those that are enqueued: past 2^20 keys Redis would be making its table anew meanwhile
    before: { queued: 950_000 },
    rounds: 2,
  }),
  growth('growth-scheduled', '100,000 scheduled', {
    subjects: NODE,
    size: [5_000, 45_000],
    quick: [3_000, 12_000],
    before: { scheduled: 100_000 },
  }),
  growth('growth-queues', '100 queues', {
    subjects: NODE,
    size: [5_000, 45_000],
    quick: [3_000, 12_000],
    order: { queues: many },
  }),
  growth('growth-idle', '200 idle workers', {
    subjects: NODE,
    size: [5_000, 45_000],
    quick: [3_000, 12_000],
    before: { idle: 200 },
  }),
  growth('growth-payload', '100 kB payloads', {
    subjects: NODE,
    size: [200, 3_000],
    quick: [50, 300],
    order: { payload: 100_000 },
  }),
];

/** What the project wants of its own ratios: the better of the Node peers is 1. */
export const GOALS = [
  { id: 'run-100.perSecond', goal: 3, beyond: 3.5 },
  { id: 'run-10.perSecond', goal: 1.8, beyond: 2 },
  { id: 'run-1.perSecond', goal: 1.3, beyond: 1.5 },
  { id: 'enqueue-flight.perSecond', goal: 2.5, beyond: 3 },
  { id: 'enqueue-bulk.perSecond', goal: 2.5, beyond: 3 },
  { id: 'round-trip.p50', goal: 1, beyond: 1.2 },
  { id: 'round-trip.p99', goal: 1, beyond: 1.2 },
  { id: 'run-100.cpuPerJob', goal: 6, beyond: 8 },
  { id: 'bytes.queued', goal: 0.8, beyond: 1 },
  { id: 'bytes.finished', goal: 0.6, beyond: 1 },
];

/** Below these ratios the guard fails: far from what is measured on a quiet machine. */
export const GUARD = [
  { id: 'run-1.perSecond', least: 0.8 },
  { id: 'run-10.perSecond', least: 0.8 },
  { id: 'run-100.perSecond', least: 1 },
  { id: 'enqueue-flight.perSecond', least: 0.6 },
];
