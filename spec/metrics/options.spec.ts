import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Worker, type MetricsOptions } from '../../lib/index.ts';
import { useRedis, useWorkers } from '../support/in-process.ts';

const functions = { f: () => 1 };
const redis = useRedis();
const makeWorker = useWorkers(redis);

describe('Worker: metrics', () => {
  it.each<readonly [what: string, metrics: unknown, said: RegExp]>([
    ['a number', 9464, /options of metrics must be an object, not 9464/],
    ['no port', {}, /metrics\.port must be a whole number, not undefined/],
    ['a port that is a text', { port: '9464' }, /metrics\.port must be a whole number, not "9464"/],
    [
      'a port beyond all',
      { port: 65_536 },
      /metrics\.port must be a whole number from 0 to 65535, not 65536/,
    ],
    ['a port below all', { port: -1 }, /metrics\.port must be .*, not -1/],
    ['a host that is none', { port: 0, host: '' }, /metrics\.host must be an address.*, not ""/],
    ['another name', { port: 0, hots: '::1' }, /Unknown option of metrics "hots": did you mean "host"\?/],
  ])('refuses %s', (_, metrics, said) => {
    expect(() => new Worker('q', { functions, metrics: metrics as MetricsOptions })).toThrow(said);
  });

  it('rejects work() where the port is taken, and leaves nothing behind', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      const worker = makeWorker(functions, { metrics: { port } });
      await expect(worker.work()).rejects.toMatchObject({
        code: 'RQ_METRICS',
        message: expect.stringMatching(`^Metrics can't be served on 127.0.0.1:${port}: .*EADDRINUSE`),
      });
      expect(await redis.client.keys('*')).toEqual([]);
    } finally {
      other.close();
    }
  });
});
