/** A TCP proxy before Redis that loses replies, stalls and cuts, as a bad network does. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Proxy {
  readonly #server: Server;
  readonly #pairs: Set<readonly [client: Socket, upstream: Socket]> = new Set();
  #lose: string | undefined;
  #lost: (() => void) | undefined;
  #stalled = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server);
    server.on('connection', client => proxy.#join(client, connect(port, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The next request that holds this text reaches Redis, its reply is lost, and its connection cut. Resolves then. */
  loseReplyTo(text: string): Promise<void> {
    this.#lose = text;
    return new Promise(resolve => (this.#lost = resolve));
  }

  /** Keeps back what Redis says from now on, until the next cut. */
  stall(): void {
    this.#stalled = true;
  }

  /** Cuts every connection there is now. */
  cut(): void {
    this.#stalled = false;
    for (const [client, upstream] of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket, upstream: Socket): void {
    const pair = [client, upstream] as const;
    this.#pairs.add(pair);
    let losing = false;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      this.#pairs.delete(pair);
    };
    client.on('data', chunk => {
      if (this.#lose !== undefined && chunk.includes(this.#lose)) {
        this.#lose = undefined;
        losing = true;
      }
      upstream.write(chunk);
    });
    upstream.on('data', chunk => {
      if (losing) {
        // Redis has done it, and nobody will hear
        end();
        this.#lost?.();
      } else if (!this.#stalled) client.write(chunk);
    });
    for (const socket of pair) socket.on('close', end).on('error', end);
  }
}
