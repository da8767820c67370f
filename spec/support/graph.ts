/** Random graphs of jobs: what they are, how they are queued and struck, and what has to hold of them afterwards. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import {
  DependencyFailedError,
  InvalidJobOperationError,
  JobFailedError,
  NoSuchJobError,
  type Job,
  type Queue,
} from '../../lib/index.ts';
import type { Ledger } from './ledger.ts';

/** A job of a plan. Its edges lead to jobs before it: what it takes as an argument, or only waits for. */
interface PlannedJob {
  readonly edges: readonly { readonly to: number; readonly takes: boolean }[];
  readonly allowFailure: boolean;
  readonly queue: number;
  readonly mode: 'well' | 'fail' | 'flaky';
  readonly retries: number;
  readonly ms: number;
  readonly ownId: boolean;
  readonly nested: boolean;
}
interface Strike {
  readonly afterMs: number;
  readonly on: number;
  readonly what: 'cancel' | 'release' | 'cancelAll' | 'delete' | 'stop';
}
export interface GraphPlan {
  readonly jobs: readonly PlannedJob[];
  readonly strikes: readonly Strike[];
}

const often = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(usual) },
    ...others.map(other => ({ weight: 1, arbitrary: fc.constant(other) })),
  );
const plannedJob: fc.Arbitrary<PlannedJob> = fc.record({
  edges: fc.array(fc.record({ to: fc.nat(), takes: fc.boolean() }), { maxLength: 4 }),
  allowFailure: fc.boolean(),
  queue: fc.nat({ max: 1 }),
  mode: often<PlannedJob['mode']>('well', 'fail', 'flaky'),
  retries: fc.nat({ max: 2 }),
  ms: fc.nat({ max: 60 }),
  ownId: fc.boolean(),
  nested: fc.boolean(),
});
const strike: fc.Arbitrary<Strike> = fc.record({
  afterMs: fc.nat({ max: 400 }),
  on: fc.nat(),
  what: fc.constantFrom('cancel', 'release', 'cancelAll', 'delete', 'stop'),
});
export const graphPlan: fc.Arbitrary<GraphPlan> = fc.record({
  jobs: fc.array(plannedJob, { minLength: 4, maxLength: 30, size: 'max' }),
  strikes: fc.array(strike, { maxLength: 4, size: 'max' }),
});

interface Line {
  readonly event: 'start' | 'fail' | 'end';
  readonly id: string;
  readonly pid: number;
  readonly at: number;
  readonly inputs: readonly (number | null)[];
  readonly value?: number;
}
/** A job that was queued, the jobs it depends on, and what was done to it. */
interface Node {
  readonly job: Job<number>;
  readonly plan: PlannedJob;
  /** The jobs whose results it takes, in their order; and all it waits for. */
  readonly takes: readonly Node[];
  readonly waits: readonly Node[];
  readonly struck: { readonly what: Strike['what']; readonly at: number }[];
  lines: readonly Line[];
  status: string | undefined;
}

export class Graph {
  readonly #plan: GraphPlan;
  readonly #ledger: Ledger;
  readonly #nodes: (Node | undefined)[] = [];

  constructor(plan: GraphPlan, ledger: Ledger) {
    this.#plan = plan;
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#all.length;
  }

  get #all(): Node[] {
    return this.#nodes.filter(node => node !== undefined);
  }

  /** Queues the jobs one after the other, while workers may run the first of them, and strikes meanwhile. */
  async run(queues: readonly [Queue, Queue], name: string): Promise<void> {
    const striking = this.#plan.strikes.map(each => this.#strike(each));
    for (const [index, plan] of this.#plan.jobs.entries()) {
      const edges =
        index === 0 ? [] : plan.edges.map(edge => ({ ...edge, to: this.#nodes[edge.to % index] }));
      const of = (takes: boolean): Node[] => [
        ...new Set(edges.filter(edge => edge.takes === takes).flatMap(({ to }) => to ?? [])),
      ];
      const takes = of(true);
      const waits = [...new Set([...takes, ...of(false)])];
      const inputs = takes.map(({ job }) => job);
      const jobs = waits.map(({ job }) => job.id);
      try {
        const job = await (queues[plan.queue] ?? queues[0]).enqueue<number>(
          'graphNode',
          [this.#ledger.file, plan.mode, plan.ms, index, plan.nested ? { of: inputs } : inputs],
          {
            resultTtl: -1,
            ...(plan.ownId ? { jobId: `${name}-${index}` } : {}),
            ...(plan.retries > 0 ? { retry: { max: plan.retries } } : {}),
            ...(jobs.length > 0 ? { dependsOn: { jobs, allowFailure: plan.allowFailure } } : {}),
          },
        );
        this.#ledger.told(job.id, 'acknowledged');
        this.#nodes[index] = { job, plan, takes, waits, struck: [], lines: [], status: undefined };
      } catch (error) {
        // a job whose result it takes was deleted meanwhile
        expect(error).toMatchObject({ code: 'RQ_DEPENDENCY_FAILED', status: 'gone' });
        const { dependencyId } = error as DependencyFailedError;
        expect(takes.find(({ job }) => job.id === dependencyId)?.struck).toMatchObject([{ what: 'delete' }]);
        this.#nodes[index] = undefined;
      }
    }
    await Promise.all(striking);
  }

  async #strike({ afterMs, on, what }: Strike): Promise<void> {
    await sleep(afterMs);
    const node = this.#nodes[on % this.#plan.jobs.length];
    if (node === undefined || node.struck.length > 0) return;
    const { job } = node;
    node.struck.push({ what, at: Date.now() });
    if (what === 'delete') this.#ledger.deleted(job.id);
    try {
      if (what === 'delete') await job.delete();
      else if (what === 'stop') await job.stop();
      else if (what === 'cancelAll') await job.cancel({ cancelDependents: true });
      else await job.cancel({ enqueueDependents: what === 'release' });
    } catch (error) {
      // it had ended, or did not run
      expect(error).toBeInstanceOf(InvalidJobOperationError);
    }
  }

  /** Ids of jobs that have not ended, and that nothing is said to keep from it. */
  async unexplained(): Promise<string[]> {
    const left = await Promise.all(
      this.#all.map(async ({ job }) => {
        const ended = await job.result.then(
          value => value !== undefined,
          () => true,
        );
        return ended ? [] : [job.id];
      }),
    );
    return left.flat();
  }

  /** Checks everything, once `unexplained` is empty. */
  async check(redis: Redis): Promise<void> {
    const lines = linesOf(this.#ledger);
    const killed = new Set(this.#ledger.read().faults.map(({ pid }) => pid));
    for (const node of this.#all) {
      node.lines = lines.get(node.job.id) ?? [];
      node.status = (await redis.hget(`rq:job:${node.job.id}`, 'status')) ?? undefined;
    }
    for (const node of this.#all) {
      const { id } = node.job;
      checkRuns(node, killed);
      const ended = await node.job.wait({ timeout: '10s' }).then(
        value => ({ value }),
        (error: unknown) => ({ error }),
      );
      if ('value' in ended) {
        expect(node.status, `${id} gave a value`).toBe('finished');
        expect(node.lines.filter(({ event }) => event === 'end').map(({ value }) => value)).toContain(
          ended.value,
        );
      } else this.#checkError(node, ended.error, killed);
      await this.#checkKeys(node, redis);
    }
  }

  /** That a job did not finish has a reason. */
  #checkError(node: Node, error: unknown, killed: ReadonlySet<number>): void {
    const { job, status } = node;
    const was = (...whats: readonly Strike['what'][]): boolean =>
      node.struck.some(({ what }) => whats.includes(what));
    const all = above(node);
    switch (status) {
      case undefined:
        expect(error).toBeInstanceOf(NoSuchJobError);
        expect(was('delete'), `${job.id} is gone`).toBe(true);
        break;
      case 'canceled': {
        const through = [...all].some(({ struck }) => struck.some(({ what }) => what === 'cancelAll'));
        expect(through || was('cancel', 'release', 'cancelAll'), `${job.id} is canceled`).toBe(true);
        break;
      }
      case 'stopped':
        expect(was('stop'), `${job.id} is stopped`).toBe(true);
        break;
      case 'deferred': {
        expect(error).toBeInstanceOf(DependencyFailedError);
        const { dependencyId, status: said } = error as DependencyFailedError;
        const root = [...all].find(it => it.job.id === dependencyId);
        expect(root, `${job.id} names ${dependencyId}, which is above it`).toBeDefined();
        expect(root?.status).toBe(said);
        expect([...blockers(node)].map(it => it.job.id)).toContain(dependencyId);
        break;
      }
      case 'failed': {
        expect(error).toBeInstanceOf(JobFailedError);
        const { name, message } = (error as JobFailedError).remote;
        if (name === 'DependencyFailedError') {
          // who takes the result of a job that was taken away
          const gone = node.takes.filter(it =>
            it.struck.some(({ what }) => what === 'delete' || what === 'release'),
          );
          expect(
            gone.some(it => message.includes(it.job.id)),
            `${job.id}: ${message}`,
          ).toBe(true);
        } else if (name === 'AbandonedJobError') {
          const lost = node.lines.filter(({ event, pid }) => event === 'start' && killed.has(pid));
          expect(lost.length, `${job.id} was lost`).toBeGreaterThan(3);
        } else {
          expect(message).toContain('fails on purpose');
          expect(node.plan.mode).toBe('fail');
        }
        break;
      }
      default:
        expect.fail(`${job.id} is ${status}: ${String(error)}`);
    }
  }

  /** What is left of who waits for whom belongs to jobs that wait. */
  async #checkKeys({ job: { id }, status }: Node, redis: Redis): Promise<void> {
    const waitsFor = await redis.smembers(`rq:job::${id}:dependencies`);
    if (status !== 'deferred') expect(waitsFor, `what ${id}, which is ${status}, waits for`).toEqual([]);
    else expect(waitsFor.length, `what ${id} waits for`).toBeGreaterThan(0);
    const waiting = await redis.smembers(`rq:job:${id}:dependents`);
    if (status === 'finished' || status === undefined)
      expect(waiting, `who waits for ${id}, which is ${status ?? 'gone'}`).toEqual([]);
    for (const other of waiting) {
      const its = this.#all.find(({ job }) => job.id === other)?.status;
      expect(['deferred', 'canceled', undefined], `${other}, which waits for ${id}`).toContain(its);
    }
    const left = (await redis.hkeys(`rq:job:${id}`)).filter(name => name.startsWith('argument:'));
    if (status !== 'deferred' && status !== 'canceled')
      expect(left, `results kept for ${id}, which is ${status ?? 'gone'}`).toEqual([]);
  }
}

/** That a job's runs came after what they depend on, were given its results, and are as many as there should be. */
function checkRuns(node: Node, killed: ReadonlySet<number>): void {
  const { job, plan, lines } = node;
  const of = (event: Line['event']): Line[] => lines.filter(line => line.event === event);
  for (const { at, inputs } of of('start')) {
    for (const other of node.waits)
      expect(over(other, plan.allowFailure, at), `${job.id} started before ${other.job.id} was over`).toBe(
        true,
      );
    expect(inputs.length).toBe(node.takes.length);
    node.takes.forEach((other, n) => {
      const given = other.lines.filter(({ event }) => event === 'end').map(({ value }) => value);
      const failed = plan.allowFailure && (other.plan.mode === 'fail' || failedUnrun(other));
      expect(failed ? [null] : given, `argument ${n} of ${job.id}, from ${other.job.id}`).toContain(
        inputs[n],
      );
    });
  }
  // a run in a process that was not killed is handed in, and no other follows but a retry
  const lasting = (event: Line['event']): number => of(event).filter(({ pid }) => !killed.has(pid)).length;
  expect(lasting('end'), `ends of ${job.id}`).toBeLessThanOrEqual(1);
  expect(lasting('start'), `runs of ${job.id}`).toBeLessThanOrEqual(1 + plan.retries);
}

/** Whether a job was over at that time, for one that waits for it: or was taken away by then. */
function over(node: Node, allowFailure: boolean, at: number): boolean {
  const { plan, lines, struck } = node;
  const before = lines.filter(line => line.at <= at);
  if (before.some(({ event }) => event === 'end')) return true;
  if (struck.some(it => (it.what === 'delete' || it.what === 'release') && it.at <= at)) return true;
  const failures = before.filter(({ event }) => event === 'fail').length;
  return allowFailure && ((plan.mode === 'fail' && failures > plan.retries) || failedUnrun(node));
}

/** Whether a job failed because the result of one that was taken away can't be had. */
function failedUnrun({ takes, lines, status }: Node): boolean {
  const taken = takes.some(({ struck }) =>
    struck.some(({ what }) => what === 'delete' || what === 'release'),
  );
  return taken && lines.length === 0 && (status === 'failed' || status === undefined);
}

function above(node: Node, all: Set<Node> = new Set()): Set<Node> {
  for (const other of node.waits) if (!all.has(other)) above(other, all.add(other));
  return all;
}

/** The jobs that keep a deferred one from running, be it through others that are deferred. */
function blockers(node: Node, all: Set<Node> = new Set(), seen: Set<Node> = new Set()): Set<Node> {
  for (const other of node.waits) {
    const { status } = other;
    if (status === 'stopped' || status === 'canceled') all.add(other);
    else if (status === 'failed' && !node.plan.allowFailure) all.add(other);
    else if (status === 'deferred' && !seen.has(other)) blockers(other, all, seen.add(other));
  }
  return all;
}

function linesOf({ file }: Ledger): Map<string, Line[]> {
  const all = new Map<string, Line[]>();
  for (const text of readFileSync(`${file}-graph`, 'utf8').split('\n')) {
    if (text === '') continue;
    const line = JSON.parse(text) as Line;
    all.set(line.id, [...(all.get(line.id) ?? []), line]);
  }
  return all;
}
