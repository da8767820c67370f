import { describe, expect, it } from 'vitest';
import { unhealthy, unready, type WorkerHealth } from '../../lib/metrics/health.ts';

const well: WorkerHealth = {
  connected: true,
  registered: true,
  sinceHeartbeat: 3,
  patience: 20,
  started: true,
  stopping: false,
};

describe('unhealthy', () => {
  it('has nothing to say of a worker whose heartbeat is fresh, whatever else it does', () => {
    expect(unhealthy(well)).toBeUndefined();
    expect(unhealthy({ ...well, connected: false, started: false, stopping: true })).toBeUndefined();
  });

  it('says how long there was none', () => {
    expect(unhealthy({ ...well, sinceHeartbeat: 20.7 })).toBe('no heartbeat for 20 s');
  });
});

describe('unready', () => {
  it.each<[Partial<WorkerHealth>, string | undefined]>([
    [{}, undefined],
    [{ started: false }, 'starting'],
    [{ registered: false }, 'not registered'],
    [{ connected: false, registered: false }, 'not connected to Redis'],
    [{ stopping: true, connected: false }, 'stopping'],
  ])('says of %o: %s', (health, said) => {
    expect(unready({ ...well, ...health })).toBe(said);
  });
});
