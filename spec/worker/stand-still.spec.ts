import { describe, expect, it } from 'vitest';
import { StandStill } from '../../lib/worker/stand-still.ts';

function holdUp(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

describe('StandStill', () => {
  it('says nothing of a process whose turns come in time', () => {
    const still = new StandStill(1_000);
    const sentAt = performance.now();
    still.turn();
    expect(still.since(sentAt)).toBe(false);
  });

  it('is noticed before the next turn as well as after it', () => {
    const still = new StandStill(20);
    const sentAt = performance.now();
    holdUp(30);
    expect(still.since(sentAt)).toBe(true);
    still.turn();
    expect(still.since(sentAt)).toBe(true);
  });

  it('does not count for what was sent after it', () => {
    const still = new StandStill(20);
    holdUp(30);
    still.turn();
    holdUp(1);
    expect(still.since(performance.now())).toBe(false);
  });
});
