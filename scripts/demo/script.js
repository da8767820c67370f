/** A script that enqueues two jobs and polls their results. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'rq-node';
import { get, sum } from './tasks.js';

const [, , url = ''] = process.argv;
const q = new Queue();
const http = new Queue('http');

const total = await q.enqueue(sum, [[42, 43]]);
const page = await http.enqueue(get, [url], { ttl: '1m', resultTtl: '5m' });

while ((await total.result) === undefined || (await page.result) === undefined) await sleep(100);

console.log('sum([42, 43]) gave', await total.result);
console.log('the page gave status', (await page.result)?.status);
