import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Endings, type Ending } from '../../lib/worker/endings.ts';

const none: Ending = () => false;

describe('Endings', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => vi.useRealTimers());

  it('go with each call that is under way, and with no later one', () => {
    const endings = new Endings();
    const [first, second] = [endings.begin(), endings.begin()];
    endings.over(first);
    endings.add(none);
    const third = endings.begin();
    expect([first.all, second.all, third.all]).toEqual([[], [none], []]);
  });

  it('of more than a second ago are of no run that a call brings which waited for one', () => {
    const endings = new Endings();
    const waiting = endings.begin();
    endings.add(none);
    vi.advanceTimersByTime(900);
    expect(waiting.late).toEqual([none]);
    vi.advanceTimersByTime(200);
    expect([waiting.late, waiting.all]).toEqual([[], [none]]);
  });
});
