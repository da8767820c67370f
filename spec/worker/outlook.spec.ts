import { describe, expect, it } from 'vitest';
import type { AdvanceReply } from '../../lib/advance.ts';
import { Outlook } from '../../lib/worker/outlook.ts';

/** What a call brought that found nothing, but for what is said. */
function reply(more: Partial<AdvanceReply> = {}): AdvanceReply {
  const nothing = { answers: [], jobs: [], dropped: [], unusable: [], closed: [], at: '' } as const;
  return { ...nothing, probation: 'none', more: 'no', ...more };
}

const paused = (place: number) => ({ place, ms: 0, waiting: 0 });
const limited = (place: number, ms: number, waiting: number = 0) => ({ place, ms, waiting });
const jobOf = (place: number) => ({ place, jobId: 'j', executionId: 'n1', fields: new Map() });

function make(queues: number = 2): { outlook: Outlook; said: string[] } {
  const said: string[] = [];
  const outlook = new Outlook(queues, {
    suspended: is => said.push(`suspended ${is}`),
    paused: (place, is) => said.push(`${place} paused ${is}`),
    unusable: place => said.push(`${place} unusable`),
  });
  return { outlook, said };
}

describe('Outlook', () => {
  it('begins with a look, and knows of nothing that is closed', () => {
    const { outlook } = make();
    expect(outlook.looks).toBe(true);
    expect([...outlook.closed]).toEqual([]);
    expect(outlook.held).toBe(false);
  });

  it('looks no more where all queues were found empty, until something happens', () => {
    const { outlook } = make();
    outlook.learn(reply());
    expect(outlook.looks).toBe(false);
    expect(outlook.nextLookMs).toBeGreaterThan(14_000);
    outlook.lookAgain();
    expect(outlook.looks).toBe(true);
  });

  it('says once that a queue is paused, and once that it goes on', () => {
    const { outlook, said } = make();
    for (let i = 0; i < 3; i++) outlook.learn(reply({ closed: [paused(1)] }));
    expect([...outlook.closed]).toEqual([1]);
    expect(outlook.nextLookMs).toBe(1000);
    for (let i = 0; i < 2; i++) outlook.learn(reply());
    expect([...outlook.closed]).toEqual([]);
    expect(said).toEqual(['1 paused true', '1 paused false']);
  });

  it('takes a queue for paused still that a call had no need to look at', () => {
    const { outlook, said } = make();
    outlook.learn(reply({ closed: [paused(1)] }));
    outlook.learn(reply({ more: 'yes', jobs: [jobOf(0)] }));
    expect([...outlook.closed]).toEqual([1]);
    outlook.learn(reply({ more: 'yes', jobs: [jobOf(1)] }));
    expect(said).toEqual(['1 paused true', '1 paused false']);
  });

  it('learns nothing of the queues from a call that asked for no job', () => {
    const { outlook, said } = make();
    outlook.learn(reply({ closed: [paused(0), limited(1, 5000, 3)] }));
    outlook.learn(reply(), false);
    expect([...outlook.closed]).toEqual([0, 1]);
    expect(outlook.held).toBe(true);
    // what was claimed has gone back to its queue
    expect(outlook.more).toBe('perhaps');
    expect(said).toEqual(['0 paused true']);
  });

  it('does not wait at a queue whose rate is reached, and looks when it is over', () => {
    const { outlook } = make();
    outlook.learn(reply({ closed: [limited(0, 900, 2)] }));
    expect([...outlook.closed]).toEqual([0]);
    expect(outlook.nextLookMs).toBeGreaterThan(100);
    expect(outlook.nextLookMs).toBeLessThanOrEqual(900);
  });

  it('looks once a second at a rate that is reached for long, as it may be changed', () => {
    const { outlook } = make();
    outlook.learn(reply({ closed: [limited(0, 3_600_000)] }));
    expect(outlook.nextLookMs).toBe(1000);
  });

  it('holds a burst only while jobs wait for their rate', () => {
    const { outlook } = make();
    outlook.learn(reply({ closed: [limited(0, 5000)] }));
    expect(outlook.held).toBe(false);
    outlook.learn(reply({ closed: [limited(0, 5000, 1)] }));
    expect(outlook.held).toBe(true);
    outlook.learn(reply({ closed: [paused(0)] }));
    expect(outlook.held).toBe(false);
  });

  it('keeps what it knows of queues while work is suspended, and says that once', () => {
    const { outlook, said } = make();
    outlook.learn(reply({ closed: [paused(0)] }));
    for (let i = 0; i < 2; i++) outlook.learn(reply({ more: 'suspended' }));
    expect(outlook.suspended).toBe(true);
    expect([...outlook.closed]).toEqual([0]);
    expect(outlook.looks).toBe(false);
    outlook.learn(reply({ closed: [paused(0)] }));
    expect(said).toEqual(['0 paused true', 'suspended true', 'suspended false']);
  });

  it('says once that a queue can’t be used, and looks at what it claimed there', () => {
    const { outlook, said } = make();
    for (let i = 0; i < 2; i++) outlook.learn(reply({ unusable: [1] }));
    expect(said).toEqual(['1 unusable']);
    expect([...outlook.closed]).toEqual([1]);
    expect(outlook.hasClaims).toBe(false);
    outlook.lookAgain();
    expect([...outlook.takeClaims()]).toEqual([1]);
    expect(outlook.hasClaims).toBe(false);
  });

  it('looks at the claims of all queues when it is told to', () => {
    const { outlook } = make(3);
    outlook.learn(reply());
    outlook.lookEverywhere();
    expect(outlook.looks).toBe(true);
    expect([...outlook.takeClaims()]).toEqual([0, 1, 2]);
  });
});
