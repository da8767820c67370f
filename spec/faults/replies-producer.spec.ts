import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { loadScripts, PRODUCERS } from '../support/commands.ts';
import { ALL, faultCase, type FaultCase } from '../support/fault-case.ts';
import { Producer } from '../support/producer.ts';
import { Proxy } from '../support/proxy.ts';

async function behindProxy(c: FaultCase): Promise<[Producer, Proxy]> {
  const proxy = c.closing(await Proxy.to(c.redis.port));
  c.worker('--concurrency', '4');
  return [new Producer(c, proxy.url), proxy];
}

describe('a producer whose reply is lost', () => {
  const queues = ['default', 'parked'];

  faultCase('the n-th one since it began, for each n', { timeout: 600_000, queues }, async c => {
    const [, proxy] = await behindProxy(c);
    const numbers = ALL
      ? Array.from({ length: 150 }, (_, i) => 1 + (i % 50))
      : Array.from({ length: 12 }, () => c.between(1, 25));
    let [made, unknown] = [0, 0];
    for (const n of numbers) {
      void proxy.lose(n);
      // a new one, so that its connections are made under the same threat
      const producer = new Producer(c, proxy.url);
      producer.made = made;
      const job = await producer.finished();
      expect(await job.result).toBe(job.id);
      await producer.requeue(job);
      await producer.cancel(await producer.enqueue(producer.parked));
      await producer.delete(await producer.enqueue(c.pick([producer.q, producer.parked])));
      await producer.empty();
      await producer.saveMeta();
      await producer.crons();
      await producer.turns();
      await producer.q.close();
      await producer.parked.close();
      proxy.spare();
      ({ made } = producer);
      unknown += producer.unknown;
    }
    const lost = [...proxy.losses.values()].reduce((sum, times) => sum + times, 0);
    expect(lost, 'replies that were lost').toBeGreaterThan(numbers.length / 2);
    c.note = `${lost} replies, of ${proxy.losses.size} commands; ${unknown} outcomes unknown`;
  });

  const SCRIPTS = PRODUCERS.map(({ name }) => name);
  const PLAIN = [
    'INFO',
    'CLIENT SETINFO',
    'SUBSCRIBE',
    'UNSUBSCRIBE',
    'LLEN',
    'LRANGE',
    'PUBLISH',
    'HSET',
    'HMGET',
    'HDEL',
    'TIME',
  ];
  const COMMANDS = [...PLAIN, ...SCRIPTS, ...SCRIPTS.map(name => `EVAL ${name}`)];

  faultCase('to each command by its name', { timeout: 600_000, queues }, async c => {
    const [producer, proxy] = await behindProxy(c);
    const sends: Readonly<Record<string, () => Promise<unknown>>> = {
      delete: async () => producer.delete(await producer.enqueue(producer.parked)),
      requeue: async () => producer.requeue(await producer.finished()),
      cancel: async () => producer.cancel(await producer.enqueue(producer.parked)),
      fetch: async () => producer.q.fetchJob((await producer.enqueue()).id),
      read_state: async () => (await producer.enqueue()).getStatus(),
      save_meta: () => producer.saveMeta(),
      list_registry: () => producer.saveMeta(),
      set_cron: () => producer.crons(),
      list_crons: () => producer.crons(),
      remove_cron: () => producer.crons(),
      TIME: () => producer.crons(),
      PUBLISH: () => producer.cancelRunning(),
      request_stop: () => producer.stop(),
      read_results: () => producer.results(),
      read_stats: () => producer.stats(),
      reschedule: () => producer.reschedule(),
      SUBSCRIBE: () => producer.finished(),
      UNSUBSCRIBE: () => producer.finished(),
      HSET: () => producer.turns(),
      HMGET: () => producer.turns(),
      HDEL: () => producer.turns(),
    };
    for (const name of COMMANDS) {
      const script = name.replace('EVAL ', '');
      await producer.finished();
      if (script === name) await loadScripts(c.redis.client);
      else await c.redis.client.script('FLUSH');
      const loss = proxy.lose(name);
      if (name === 'INFO' || name.startsWith('CLIENT')) proxy.cut();
      await (sends[script] ?? (() => producer.empty()))();
      await Promise.race([loss, sleep(5000)]);
    }
    for (const name of COMMANDS) expect(proxy.losses.get(name), `lost replies to ${name}`).toBe(1);
    expect(producer.unknown, 'only requeue may not be sent again').toBe(2);
    const again = [...c.ledger.counts('start').values()].filter(runs => runs > 1);
    expect(again, 'runs of what was requeued, and of nothing else').toEqual([2, 2]);
    c.note = `${COMMANDS.length} commands`;
  });
});
