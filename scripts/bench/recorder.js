/** A proxy before a Redis that notes what each connection sends, and how many replies it had seen by then. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Cutter } from './resp.js';

/** @typedef {import('node:net').Socket} Socket */
/**
 * @typedef {object} Recording one connection
 * @property {Buffer[]} commands each as it was sent
 * @property {number[]} after for each, the number of replies that had come before it was sent
 */

/** @returns {Promise<{ port: number, recordings: Recording[], stop: () => void }>} */
export async function startRecorder(/** @type {number} */ redisPort) {
  /** @type {Recording[]} */
  const recordings = [];
  /** @type {Set<Socket>} */
  const sockets = new Set();
  const server = createServer({ noDelay: true }, client => {
    /** @type {Recording} */
    const recording = { commands: [], after: [] };
    recordings.push(recording);
    const [commands, replies] = [new Cutter(), new Cutter()];
    const redis = connect({ port: redisPort, host: '127.0.0.1', noDelay: true });
    let replied = 0;
    client.on('data', chunk => {
      redis.write(chunk);
      for (const command of commands.push(chunk)) {
        recording.commands.push(Buffer.from(command));
        recording.after.push(replied);
      }
    });
    redis.on('data', chunk => {
      client.write(chunk);
      replied += replies.push(chunk).length;
    });
    join(client, redis);
    join(redis, client);
  });
  /** What one side closes is closed on the other. */
  const join = (/** @type {Socket} */ from, /** @type {Socket} */ to) => {
    sockets.add(from);
    from.on('error', () => {});
    from.on('close', () => to.destroy());
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    port,
    recordings,
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Of the connections, the one that sent most: the producer's, or the worker's busy one. */
export function busiest(/** @type {readonly Recording[]} */ recordings) {
  const sizes = recordings.map(({ commands }) => commands.reduce((sum, { length }) => sum + length, 0));
  const found = recordings[sizes.indexOf(Math.max(...sizes))];
  if (found === undefined) throw new Error('Nothing was recorded');
  return found;
}
