/** A TCP proxy before Redis that loses replies, cuts them short, delays, stalls, goes dead and cuts, as a bad network does. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { commandName } from './commands.ts';
import { isMessage, Values, wordsOf } from './resp.ts';

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  /** What was asked and not answered yet; `keep` where the reply is to be cut after so many bytes. */
  readonly asked: { readonly name: string; readonly keep?: number }[];
  /** The last byte of what is on its slow way to the client; and whether what follows has to wait for it. */
  sent: Promise<void>;
  waits: boolean;
}

/** The reply to be lost: of the n-th request from now, of the next one of a name, or of the next that holds a text. */
interface Loss {
  readonly hits: (n: number, name: string, request: Buffer) => boolean;
  readonly keep: number;
  readonly done: (name: string) => void;
}

export class Proxy {
  /** How often each command's reply was lost, by its name. */
  readonly losses: Map<string, number> = new Map();
  /** The longest reply that each command has had. */
  readonly longest: Map<string, number> = new Map();
  /** Requests that came so far, over all connections. */
  requests = 0;
  /** Replies go out one byte at a time. */
  slow = false;
  /** Milliseconds that a packet takes each way, as to a Redis far away. */
  delay = 0;
  readonly #server: Server;
  readonly #pairs: Set<Pair> = new Set();
  #upstream: number;
  #loss: Loss | undefined;
  #lost: string | undefined;
  #stalled = false;
  #dead = false;
  #held: { readonly name: string; readonly over: Promise<void>; passing: number } | undefined;

  private constructor(server: Server, upstream: number) {
    this.#server = server;
    this.#upstream = upstream;
  }

  /** `delay` is what each packet takes each way, as to a Redis far away. */
  static async to(port: number, delay: number = 0): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server, port);
    proxy.delay = delay;
    server.on('connection', client => proxy.#join(client));
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
  async loseReplyTo(text: string): Promise<void> {
    await this.#arm((_, __, request) => request.includes(text), 0);
  }

  /**
   * The same for the n-th request from now, counted over all connections, or for the next one of a command's name. The
   * first `keep` bytes of the reply still arrive. Resolves with the command's name.
   */
  lose(which: number | string, keep: number = 0): Promise<string> {
    const at = typeof which === 'number' ? this.requests + which : 0;
    return this.#arm((n, name) => (typeof which === 'number' ? n === at : name === which), keep);
  }

  /** The command that lost its reply since the last order, if one did. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Takes back an order that was not carried out. */
  spare(): void {
    this.#loss = undefined;
  }

  /**
   * Holds back the replies to a command, but for so many that pass, and what follows them on their connections, until what
   * it gives is called.
   */
  hold(name: string, passing: number = 0): () => void {
    let release = (): void => {};
    const over = new Promise<void>(resolve => (release = resolve));
    this.#held = { name, over, passing };
    return () => {
      this.#held = undefined;
      release();
    };
  }

  /** Drops what Redis says from now on, until the next cut. */
  stall(): void {
    this.#stalled = true;
  }

  /** The connections there are now go dead without a word, for good. New ones work, unless `all` of them go dead until `thaw`. */
  freeze(all: boolean = false): void {
    this.#dead = all;
    for (const pair of this.#pairs) numb(pair);
  }

  /** New connections work again. */
  thaw(): void {
    this.#dead = false;
  }

  /** Cuts every connection there is now. */
  cut(): void {
    this.#stalled = false;
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
  }

  /** New connections go to another Redis, and those there are now are cut. */
  leadTo(port: number): void {
    this.#upstream = port;
    this.cut();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #arm(hits: Loss['hits'], keep: number): Promise<string> {
    this.#lost = undefined;
    return new Promise(done => (this.#loss = { hits, keep, done }));
  }

  #join(client: Socket): void {
    const upstream = connect(this.#upstream, '127.0.0.1');
    const pair: Pair = {
      client: client.setNoDelay(),
      upstream,
      asked: [],
      sent: Promise.resolve(),
      waits: false,
    };
    this.#pairs.add(pair);
    let losing: Loss | undefined;
    const end = (): void => {
      // an order that was not carried out stands for the next request of its kind
      if (losing !== undefined) this.#loss ??= losing;
      losing = undefined;
      client.destroy();
      upstream.destroy();
      this.#pairs.delete(pair);
    };
    const [requests, replies] = [new Values(), new Values()];
    client.on('data', chunk => {
      for (const request of requests.push(chunk)) losing = this.#ask(pair, request) ?? losing;
      this.#carry(upstream, chunk);
    });
    upstream.on('data', chunk => {
      for (const reply of replies.push(chunk)) {
        const asked = isMessage(reply) ? undefined : pair.asked.shift();
        if (asked?.keep !== undefined) {
          // Redis has done it, and nobody will hear
          const { done } = losing as Loss;
          losing = undefined;
          this.#lost = asked.name;
          this.losses.set(asked.name, (this.losses.get(asked.name) ?? 0) + 1);
          if (asked.keep === 0) client.destroy();
          else client.end(reply.subarray(0, asked.keep));
          upstream.off('close', end).destroy();
          done(asked.name);
          return;
        }
        if (asked !== undefined)
          this.longest.set(asked.name, Math.max(reply.length, this.longest.get(asked.name) ?? 0));
        if (asked !== undefined && asked.name === this.#held?.name && this.#held.passing-- <= 0) {
          const { over } = this.#held;
          pair.waits = true;
          pair.sent = pair.sent.then(() => over);
        }
        this.#send(pair, reply);
      }
    });
    for (const socket of [client, upstream]) socket.on('close', end).on('error', end);
    if (this.#dead) numb(pair);
  }

  /** Counts a request; gives the order to lose its reply, where there is one. */
  #ask(pair: Pair, request: Buffer): Loss | undefined {
    const words = wordsOf(request);
    const name = commandName(words);
    const loss = this.#loss?.hits(++this.requests, name, request) === true ? this.#loss : undefined;
    if (loss !== undefined) this.#loss = undefined;
    pair.asked.push(loss === undefined ? { name } : { name, keep: loss.keep });
    // one confirmation for each channel
    if (/^(UN)?SUBSCRIBE$/.test(name)) for (let i = 2; i < words.length; i++) pair.asked.push({ name });
    return loss;
  }

  #carry(to: Socket, chunk: Buffer): void {
    if (this.delay === 0) to.write(chunk);
    else setTimeout(() => to.writable && to.write(chunk), this.delay);
  }

  #send(pair: Pair, reply: Buffer): void {
    const { client } = pair;
    if (this.#stalled) return;
    if (pair.waits) {
      pair.sent = pair.sent.then(() => void (client.writable && client.write(reply)));
      return;
    }
    if (!this.slow) return this.#carry(client, reply);
    pair.sent = pair.sent.then(async () => {
      for (let i = 0; i < reply.length && client.writable; i++) {
        await new Promise(resolve => client.write(reply.subarray(i, i + 1), resolve));
        // in a turn of its own, so that it is read on its own
        await new Promise(resolve => setImmediate(resolve));
      }
    });
  }
}

/** Nothing is read from either side any more: what one sends fills its buffers, and neither learns of the other's end. */
function numb({ client, upstream }: Pair): void {
  for (const socket of [client, upstream]) socket.removeAllListeners('data').pause();
}
