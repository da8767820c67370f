/** What a doctor finds among the keys: foreign ones, wrong types, jobs that can't be read, ids that are stuck. */
import { finding, type Finding } from './finding.ts';
import { expectedType } from './key-types.ts';
import type { QueueKeys } from './keys.ts';
import { isJobId, isQueueName, messageOf, quote } from './options.ts';
import { STEP, type OperatorStore } from './operator-store.ts';
import { dataOf, parseCall, STATUSES, textOf, timeOf, type Fields } from './record.ts';

/** Jobs that are read whole, and ids of each list that are looked at. */
const JOBS = 1000;
/** Milliseconds between two looks at ids that are on their way. */
const SECOND_LOOK_MS = 1000;

export interface KeyOptions {
  readonly maxKeys: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (looked: number) => void;
}

/** How often something was found, and where first. */
interface Kind {
  count: number;
  readonly example: string;
  readonly make: (count: number, example: string) => Finding;
}

class Kinds {
  readonly #kinds: Map<string, Kind> = new Map();

  add(key: string, example: string, make: Kind['make']): void {
    const kind = this.#kinds.get(key);
    if (kind === undefined) this.#kinds.set(key, { count: 1, example, make });
    else kind.count++;
  }

  get findings(): Finding[] {
    return [...this.#kinds.values()].map(({ count, example, make }) => make(count, example));
  }
}

export async function lookAtKeys(store: OperatorStore, options: KeyOptions): Promise<Finding[]> {
  const [names = []] = await store.sets([store.keys.queues]);
  const queues = names
    .filter(key => key.startsWith(store.keys.listPrefix))
    .map(key => store.keys.queue(key.slice(store.keys.listPrefix.length)));
  const onTheirWay = await idsOnTheirWay(store, queues);
  const began = performance.now();
  const [found, claims] = await walk(store, options);
  return [
    ...found,
    ...queueNames(store, names),
    ...(await malformedIds(store, queues)),
    ...(await stuck(store, queues, onTheirWay, began, options.signal)),
    ...(await deadClaims(store, claims)),
    ...(await suspension(store)),
  ];
}

/** All keys; answers what is wrong with them, and the lists of claims among them. */
async function walk(
  store: OperatorStore,
  { maxKeys, signal, onProgress }: KeyOptions,
): Promise<[Finding[], string[]]> {
  const { keys } = store;
  const kinds = new Kinds();
  const claims: string[] = [];
  let [looked, jobs, cut] = [0, 0, false];
  for await (const page of store.scan(`${keys.prefix}*`)) {
    if (looked >= maxKeys || signal?.aborted === true) {
      cut = true;
      break;
    }
    looked += page.length;
    const types = await store.types(page);
    const hashes: string[] = [];
    for (const [i, key] of page.entries()) {
      const type = types[i] ?? 'none';
      if (type === 'none') continue;
      const expected = expectedType(key.slice(keys.prefix.length));
      if (expected === undefined) {
        kinds.add('foreign', key, (count, example) =>
          finding(
            'warning',
            'keys',
            `${several(count, 'key')} of an unknown name: ${quote(example)}`,
            `keep other data out of ${keys.prefix}*`,
          ),
        );
      } else if (type !== expected.type) {
        kinds.add(`${expected.name} ${type}`, key, (count, example) =>
          finding(
            'error',
            'keys',
            `${several(count, 'key')} of a wrong type: ${quote(example)} is a ${type}, and ${keys.prefix}${expected.name} a ${expected.type}`,
            'rename or delete what is there: workers pass such a queue or job over',
          ),
        );
      } else if (expected.name === 'job:<id>') {
        const id = key.slice(keys.jobPrefix.length);
        if (isJobId(id)) hashes.push(id);
        else {
          kinds.add('job id', key, (count, example) =>
            finding(
              'error',
              'jobs',
              `${several(count, 'job')} with an id that RQ can't read: ${quote(example)}`,
              'delete them: an id is of A-Z a-z 0-9 _ -, and a Python worker that meets another one ends',
            ),
          );
        }
      } else if (expected.name === 'worker:<worker>:claims:<queue>') claims.push(key);
    }
    const some = hashes.slice(0, Math.max(0, JOBS - jobs));
    jobs += some.length;
    const found = await store.hashes(some.map(id => keys.job(id)));
    for (const [i, id] of some.entries()) {
      const fields = found[i];
      if (fields !== undefined) lookAtJob(kinds, id, fields);
    }
    onProgress(page.length);
  }
  const findings = kinds.findings;
  const what = `${cut ? 'the first ' : ''}${several(looked, 'key')} looked at, ${several(jobs, 'job')} read`;
  findings.push(finding(cut ? 'note' : 'ok', 'keys', what, cut ? 'look at more with --max-keys' : ''));
  return [findings, claims];
}

function lookAtJob(kinds: Kinds, id: string, fields: Fields): void {
  const wrong = (kind: string, severity: 'warning' | 'error', what: string, fix: string): void =>
    kinds.add(kind, id, (count, example) =>
      finding(severity, 'jobs', `${several(count, 'job')} ${what}: ${example}`, fix),
    );
  const orphans = "see 'rq clean --dry-run'";
  const status = textOf(fields, 'status');
  const known = [...STATUSES, 'created', 'rate_limited', 'ready_to_enqueue'];
  if (status === undefined)
    wrong('no status', 'warning', 'without a status, as what is written to a deleted job leaves', orphans);
  else if (!known.includes(status)) {
    wrong(
      'status',
      'error',
      `with the status ${quote(status)}, on which Python workers end`,
      'delete them, or set a status of RQ’s',
    );
  }
  try {
    const data = dataOf(id, fields.get('data'));
    if (data[0] === 0x80) {
      wrong(
        'pickle',
        'error',
        'with pickled data, which no Node worker can read',
        "give Python's queues and workers the JSON serializer: serializer='json', rq worker --serializer json",
      );
    } else parseCall(id, data);
  } catch (error) {
    if (status !== undefined) {
      const why = messageOf(error).replace(/^Job \S+ is not valid: /, '');
      wrong(
        `data ${why.slice(0, 15)}`,
        'error',
        `that can't be run (${why})`,
        'delete them, and see who wrote them',
      );
    }
  }
  if (status === undefined) return;
  if (fields.get('description') === undefined)
    wrong(
      'description',
      'warning',
      'without a description: a Python worker on a terminal ends on it',
      'have their producer write one',
    );
  for (const name of ['timeout', 'result_ttl', 'failure_ttl', 'ttl']) {
    const text = textOf(fields, name);
    if (text !== undefined && !/^-?\d{1,15}$/.test(text))
      wrong(
        name,
        'error',
        `whose ${name} is no whole number`,
        'write seconds: Python workers end on anything else',
      );
  }
  for (const name of ['created_at', 'enqueued_at', 'started_at', 'ended_at']) {
    if (textOf(fields, name) !== undefined && timeOf(fields, name) === undefined)
      wrong(
        name,
        'error',
        `whose ${name} is no timestamp`,
        'write YYYY-MM-DDTHH:MM:SS.ffffffZ: Python workers end on anything else',
      );
  }
}

function queueNames(store: OperatorStore, listed: readonly string[]): Finding[] {
  const { listPrefix, queues } = store.keys;
  const kinds = new Kinds();
  for (const key of listed) {
    if (!key.startsWith(listPrefix)) {
      kinds.add('foreign', key, (count, example) =>
        finding(
          'error',
          'queues',
          `${several(count, 'member')} of ${queues} that ${count === 1 ? 'is' : 'are'} no queue: ${quote(example)}`,
          `SREM ${queues} …: each begins with ${listPrefix}`,
        ),
      );
    } else if (!isQueueName(key.slice(listPrefix.length))) {
      kinds.add('name', key.slice(listPrefix.length), (count, example) =>
        finding(
          'warning',
          'queues',
          `${several(count, 'queue')} with a name that Node can't use: ${quote(example)}`,
          'use 1 to 128 of A-Z a-z 0-9 _ . -',
        ),
      );
    }
  }
  return kinds.findings;
}

async function malformedIds(store: OperatorStore, queues: readonly QueueKeys[]): Promise<Finding[]> {
  const kinds = new Kinds();
  for (const { list } of queues) {
    let looked = 0;
    for await (const ids of store.listed(list)) {
      for (const id of ids) {
        if (isJobId(id)) continue;
        kinds.add(list, id, (count, example) =>
          finding(
            'error',
            'queues',
            `${several(count, 'id')} in ${list} that RQ can't read: ${quote(example)}`,
            `LREM ${list} 0 …: a Python worker that meets one ends`,
          ),
        );
      }
      looked += ids.length;
      if (looked >= JOBS) break;
    }
  }
  return kinds.findings;
}

async function idsOnTheirWay(store: OperatorStore, queues: readonly QueueKeys[]): Promise<Set<string>[]> {
  const found: Set<string>[] = [];
  for (const { intermediate } of queues) {
    const ids = new Set<string>();
    for await (const page of store.listed(intermediate)) for (const id of page) ids.add(id);
    found.push(ids);
  }
  return found;
}

/** Ids that were in a Python worker's hands at both of two looks. */
async function stuck(
  store: OperatorStore,
  queues: readonly QueueKeys[],
  before: readonly Set<string>[],
  began: number,
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  if (before.every(ids => ids.size === 0) || signal?.aborted === true) return [];
  const wait = Math.max(0, SECOND_LOOK_MS - (performance.now() - began));
  await new Promise(resolve => setTimeout(resolve, wait));
  const after = await idsOnTheirWay(store, queues);
  return queues.flatMap(({ intermediate, list }, i) => {
    const ids = [...(before[i] ?? [])].filter(id => after[i]?.has(id));
    const [first = ''] = ids;
    if (ids.length === 0) return [];
    const what = `${several(ids.length, 'id')} stuck in ${intermediate}: ${quote(first)}. A Python worker died before it began`;
    return [
      finding(
        'warning',
        'queues',
        what,
        `LMOVE ${intermediate} ${list} RIGHT LEFT for each; RQ's maintenance would fail them`,
      ),
    ];
  });
}

async function deadClaims(store: OperatorStore, lists: readonly string[]): Promise<Finding[]> {
  const { workerPrefix } = store.keys;
  const claims = lists.map(list => {
    const [, worker = '', queue = ''] = /^([^]+?):claims:([^]+)$/.exec(list.slice(workerPrefix.length)) ?? [];
    return { list, worker, queue };
  });
  const found: Finding[] = [];
  for (let first = 0; first < claims.length; first += STEP) {
    const part = claims.slice(first, first + STEP);
    const lives = await store.fields(
      part.map(({ worker }) => workerPrefix + worker),
      ['birth', 'death'],
    );
    const sizes = await store.sizes(part.map(({ list }) => [list, 'list'] as const));
    for (const [i, { list, worker, queue }] of part.entries()) {
      const [birth, death] = lives[i] ?? [];
      const size = sizes[i] ?? 0;
      if (size === 0 || (typeof birth === 'string' && typeof death !== 'string')) continue;
      const what = `${several(size, 'id')} in the claims of worker ${quote(worker)}, which is gone`;
      const fix = `start a Node worker on ${quote(queue)}, which takes them back; or LMOVE ${list} ${store.keys.listPrefix}${queue} RIGHT LEFT for each`;
      found.push(finding('warning', 'queues', what, fix));
    }
  }
  return found;
}

async function suspension(store: OperatorStore): Promise<Finding[]> {
  const [type] = await store.types([store.keys.suspended]);
  if (type === 'none') return [];
  return [
    finding('note', 'workers', 'all workers are suspended: no job begins', "'rq resume' has them go on"),
  ];
}

function several(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${count === 1 ? what : `${what}s`}`;
}
