/** A producer in a process of its own: a line `<n> <verb> <job id>` on standard input, `<n> <ok, or an error's code>` on standard output. */
import { createInterface } from 'node:readline';
import { Queue } from 'rq-node';

const [url = '', ledger = ''] = process.argv.slice(2);
const q = new Queue('default', { connection: url });

/** @param {string} verb @param {string} id */
const call = async (verb, id) => {
  if (verb === 'unique') {
    const options = { jobId: id, resultTtl: -1, unique: /** @type {const} */ ({ on: 'args' }) };
    await q.enqueue('ledger', [ledger, null, 0], options);
    return 'ok';
  }
  if (verb === 'enqueue') {
    await q.enqueue('ledger', [ledger, null, 0], { jobId: id, resultTtl: -1 });
    return 'ok';
  }
  const job = await q.fetchJob(id);
  if (job === undefined) return 'gone';
  if (verb === 'cancel') await job.cancel();
  else if (verb === 'delete') await job.delete();
  else if (verb === 'requeue') await job.requeue();
  else await job.stop();
  return 'ok';
};

await q.count();
process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const [n, verb = '', id = ''] = line.split(' ');
  call(verb, id).then(
    said => process.stdout.write(`${n} ${said}\n`),
    error => process.stdout.write(`${n} ${error.code ?? error.message}\n`),
  );
}
await q.close();
