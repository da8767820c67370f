/**
 * The limit: the commands that rq-node's producer and worker send, sent again by a client that does nothing else.
 *
 * rq-node does the work once through a proxy, which notes the bytes of each command and how many replies had come before it
 * was sent. Then an empty Redis gets the same bytes again, each command as soon as as many replies have come: so as many
 * calls are in flight as before, and what a call needs of an earlier one is there. The ids in the commands are those of the
 * first time, and the scripts take jobs in order, so each outcome meets its own run, and at the end all jobs are finished,
 * which is checked. No job is run, no argument encoded, no reply read: what is left is Redis, its scripts and the socket.
 *
 * Only the busiest connection is sent again: heartbeats, the janitor and blocking reads are not. The proxy makes replies a
 * little later than they are without it, so that calls carry a few more jobs each.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { Keys } from '../../dist/lib/keys.js';
import { busiest, startRecorder } from './recorder.js';
import { startRedis } from './redis.js';
import { Cutter } from './resp.js';
import { perform } from './subject.js';

/** @typedef {import('./types.d.ts').Cell} Cell */
/** @typedef {import('./recorder.js').Recording} Recording */

const keys = new Keys().queue('bench');

/** The limit of a producer. */
export async function enqueueBare(/** @type {Cell} */ cell) {
  const jobs = cell.order.warm + cell.order.jobs;
  const sent = await record(cell, cell.redis.port, { part: 'enqueue' });
  return onEmptyRedis(cell, async port => {
    const seconds = await sendAgain(sent, port);
    await expect(port, jobs, redis => redis.llen(keys.list), 'queued');
    return { perSecond: jobs / seconds };
  });
}

/** The limit of a worker. */
export async function runBare(/** @type {Cell} */ cell) {
  const jobs = cell.order.warm + cell.order.jobs;
  const put = await record(cell, cell.redis.port, { part: 'fill', jobs });
  const taken = await record(cell, cell.redis.port, { part: 'drain' });
  return onEmptyRedis(cell, async port => {
    await sendAgain(put, port);
    const seconds = await sendAgain(taken, port);
    await expect(port, jobs, redis => redis.zcard(keys.finished), 'finished');
    return { perSecond: jobs / seconds };
  });
}

async function record(
  /** @type {Cell} */ { order },
  /** @type {number} */ redisPort,
  /** @type {Partial<import('./types.d.ts').Order>} */ changes,
) {
  const recorder = await startRecorder(redisPort);
  try {
    await perform({ ...order, ...changes, subject: 'rq-node', port: recorder.port });
    return busiest(recorder.recordings);
  } finally {
    recorder.stop();
  }
}

/**
 * @template T
 * @param {Cell} cell
 * @param {(port: number) => Promise<T>} work
 */
async function onEmptyRedis({ aof }, work) {
  const redis = await startRedis({ aof });
  try {
    return await work(redis.port);
  } finally {
    await redis.stop();
  }
}

/** Sends a recording; answers the seconds from its first script to the last one's reply. */
async function sendAgain(/** @type {Recording} */ recording, /** @type {number} */ port) {
  const last = recording.commands.findLastIndex(isScript) + 1;
  const first = recording.commands.findIndex(isScript);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const replies = new Cutter();
  let [sent, replied, began] = [0, 0, 0];
  await new Promise((resolve, reject) => {
    const send = () => {
      if (replied === last) return resolve(undefined);
      socket.cork();
      while (sent < last && replied >= /** @type {number} */ (recording.after[sent])) {
        if (sent === first) began = performance.now();
        socket.write(/** @type {Buffer} */ (recording.commands[sent++]));
      }
      socket.uncork();
    };
    socket.on('data', chunk => {
      replied += replies.push(chunk).length;
      send();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('Redis closed the connection of the bare client')));
    send();
  });
  const seconds = (performance.now() - began) / 1000;
  socket.destroy();
  return seconds;
}

function isScript(/** @type {Buffer} */ command) {
  return /^\*\d+\r\n\$\d+\r\neval/i.test(command.toString('latin1', 0, 32));
}

/**
 * @param {number} port
 * @param {number} jobs
 * @param {(redis: Redis) => Promise<number>} count
 * @param {string} what
 */
async function expect(port, jobs, count, what) {
  const redis = new Redis(port, '127.0.0.1');
  const found = await count(redis);
  redis.disconnect();
  if (found !== jobs)
    throw new Error(`After the commands were sent again, ${found} of ${jobs} jobs are ${what}`);
}
