/** What a worker takes ahead of its own accord: jobs that begin in a moment, and none where runs are long. */
import { describe, expect, it } from 'vitest';
import type { EnqueueOptions } from '../../lib/index.ts';
import { Pace } from '../../lib/worker/pace.ts';
import { useQueue, useRedis, useWorkers } from '../support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis);
const makeWorker = useWorkers(redis);
const soon = { timeout: 15_000, interval: 10 };

function paceAfter(...runs: readonly number[]): number {
  const pace = new Pace();
  for (const ms of runs) pace.note(ms);
  return pace.ahead;
}

describe('Pace', () => {
  it('has nothing taken ahead before many runs were short', () => {
    expect(paceAfter()).toBe(0);
    expect(paceAfter(...Array<number>(30).fill(0.1))).toBe(0);
    expect(paceAfter(...Array<number>(200).fill(0.1))).toBe(50);
  });

  it('goes by the longest run of late, and has no more than 100 taken', () => {
    const short = Array<number>(300).fill(0.01);
    expect(paceAfter(...short)).toBe(100);
    expect(paceAfter(...short, 1)).toBe(5);
    expect(paceAfter(...short, 6)).toBe(0);
    expect(paceAfter(...short, 10_000, ...short)).toBe(100);
    expect(paceAfter(...short, 10_000, ...short.slice(0, 100))).toBe(0);
    expect(paceAfter(...Array<number>(300).fill(6))).toBe(0);
  });
});

describe('a worker with one slot, after hundreds of short jobs', () => {
  /** A job that takes long, with 50 short ones behind it; `held` are the runs that Redis knew of when it began. */
  async function longOne(
    prefetch?: number,
    jobOptions: EnqueueOptions = {},
  ): Promise<{ held: number; behind: string[]; ran: string[]; end: () => Promise<void> }> {
    let release = (): void => {};
    let began: (held: number) => void = () => {};
    const held = new Promise<number>(resolve => (began = resolve));
    const ran: string[] = [];
    const long = async (): Promise<void> => {
      const released = new Promise<void>(resolve => (release = resolve));
      began(await q.startedRegistry.count());
      await released;
    };
    const short = (name: string): void => void ran.push(name);
    await q.enqueueMany(Array.from({ length: 400 }, () => ['short', [''], jobOptions] as const));
    await q.enqueue('long');
    const behind = await q.enqueueMany(
      Array.from({ length: 50 }, (_, i) => ['short', [`${i}`], jobOptions] as const),
    );
    const worker = makeWorker({ long, short }, prefetch === undefined ? {} : { prefetch }, 'default');
    const working = worker.work({ maxJobs: 451 });
    const first = await held;
    ran.splice(0);
    const end = async (): Promise<void> => {
      release();
      await working;
    };
    return { held: first, behind: behind.map(({ id }) => id), ran, end };
  }

  it(
    'has taken some ahead, which go back in their order, uncounted, when a run takes long',
    {
      timeout: 90_000,
    },
    async () => {
      let round = await longOne();
      // where the machine was busy, the runs were not short
      for (let n = 0; n < 20 && round.held === 1; n++) {
        await round.end();
        round = await longOne();
      }
      expect(round.held).toBeGreaterThan(1);
      await expect.poll(() => q.getJobIds(), soon).toEqual(round.behind);
      expect(await q.startedRegistry.count()).toBe(1);
      for (const id of round.behind) expect(await redis.client.hget(`rq:job:${id}`, 'recoveries')).toBeNull();
      // and stay there for others, as long as it runs
      const taken: string[] = [];
      const other = makeWorker({ short: (name: string) => void taken.push(name) }, {}, 'default');
      await other.work({ burst: true });
      expect(taken).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
      await q.enqueueMany(Array.from({ length: 50 }, (_, i) => ['short', [`again ${i}`]] as const));
      // what went back does not count for maxJobs
      await round.end();
      expect(round.ran).toEqual(Array.from({ length: 50 }, (_, i) => `again ${i}`));
    },
  );

  it.each<[string, number | undefined, EnqueueOptions]>([
    ['with prefetch 0', 0, {}],
    ['of jobs that must not run twice', undefined, { redeliver: false }],
  ])('has taken none ahead %s', async (_, prefetch, jobOptions) => {
    for (let n = 0; n < 3; n++) {
      const round = await longOne(prefetch, jobOptions);
      expect(round.held).toBe(1);
      expect(await q.getJobIds()).toEqual(round.behind);
      await round.end();
      expect(round.ran).toHaveLength(50);
    }
  });
});
