/** A TCP relay as a process of its own, so that it can be stopped: `relay.js <upstream port> [own port]`. Says its port. */
import { connect, createServer } from 'node:net';

const [upstream, own = '0'] = process.argv.slice(2);

const server = createServer(client => {
  const redis = connect(Number(upstream), '127.0.0.1');
  client.setNoDelay().pipe(redis).pipe(client);
  for (const socket of [client, redis])
    socket
      .on('error', () => {})
      .on('close', () => {
        client.destroy();
        redis.destroy();
      });
});
server.listen(Number(own), '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object') process.stdout.write(`${address?.port}\n`);
});
