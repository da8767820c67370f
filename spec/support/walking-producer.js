/** A producer that says before each of its calls what it is about to do, and after each what it was told. */
import { writeSync } from 'node:fs';
import { Queue } from 'rq-node';

const [url = '', ledger = '', prefix = ''] = process.argv.slice(2);
const q = new Queue('default', { connection: url });

/** @template T @param {string} verb @param {string} id @param {() => Promise<T>} call */
const tell = async (verb, id, call) => {
  writeSync(1, `begin ${verb} ${id}\n`);
  const value = await call();
  writeSync(1, `done ${verb} ${id}\n`);
  return value;
};
/** @param {string} name @param {object} options */
const enqueue = (name, options = {}) =>
  tell('enqueue', `${prefix}-${name}`, () =>
    q.enqueue('ledger', [ledger, null, 0], { resultTtl: -1, jobId: `${prefix}-${name}`, ...options }),
  );

const a = await enqueue('a');
// the calls of a tick share a round trip
const [b, c, d] = await Promise.all([enqueue('b'), enqueue('c', { atFront: true }), enqueue('d')]);
const e = await q.enqueue('ledger', [ledger, null, 0], { resultTtl: -1 });
writeSync(1, `done enqueue ${e.id}\n`);
await a.result;
await tell('cancel', b.id, () => b.cancel());
await tell('cancel', c.id, () => c.cancel());
await tell('requeue', c.id, () => c.requeue());
await tell('delete', d.id, () => d.delete());
await enqueue('d-again');
await (await q.fetchJob(a.id))?.refresh();
await tell('cancel', e.id, () => e.cancel());
await tell('requeue', e.id, () => q.canceledRegistry.requeue(e.id));
await q.close();
