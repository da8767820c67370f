/** Serves a worker's metrics and its health over HTTP, on one port. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Link } from '../connection.ts';
import { RedisRefusedError, RqError } from '../errors.ts';
import { messageOf } from '../options.ts';
import { Registry } from '../registry.ts';
import { Store } from '../store.ts';
import type { WorkerStore } from '../worker-store.ts';
import type { Worker } from '../worker/worker.ts';
import { watchCalls } from './calls.ts';
import { unhealthy, unready, type WorkerHealth } from './health.ts';
import { Metrics, type QueueState } from './metrics.ts';

/** Milliseconds that a Redis has to say how its queues stand: who asks for metrics does not wait for long. */
const PATIENCE_MS = 2_000;
const REGISTRIES = ['started', 'scheduled', 'deferred', 'failed', 'parked'] as const;
const TEXT = 'text/plain; charset=utf-8';
const METRICS = 'text/plain; version=0.0.4; charset=utf-8';

export interface Served {
  readonly port: number;
  readonly host: string;
}

/** What a worker tells of itself to what serves its metrics. */
export interface Subject {
  readonly worker: Worker;
  readonly store: WorkerStore;
  /** The connection that jobs come over; the metrics open one of their own to the same place. */
  readonly link: Link;
  readonly concurrency: number;
  readonly isKnown: (functionName: string) => boolean;
  readonly running: () => number;
  readonly health: () => WorkerHealth;
  readonly warn: (text: string) => void;
}

export class MetricsServer {
  readonly #subject: Subject;
  readonly #metrics: Metrics;
  readonly #link: Link;
  readonly #store: Store;
  readonly #server: Server;
  readonly #warned: Set<string> = new Set();

  private constructor(subject: Subject) {
    this.#subject = subject;
    const { worker, store, link, isKnown } = subject;
    const metrics = new Metrics(worker.queues, isKnown);
    this.#metrics = metrics;
    this.#link = link.duplicate({ deadlineMs: PATIENCE_MS });
    this.#store = new Store(this.#link, store.keys);
    this.#server = createServer((request, response) => void this.#answer(request, response));
    watchCalls(store, (call, seconds, failed) => metrics.called(call, seconds, failed));
    // before other listeners: one of them that throws must not cost a count
    worker
      .prependListener('jobStarted', job => metrics.began(job))
      .prependListener('jobFinished', job => metrics.ended(job, 'finished'))
      .prependListener('jobFailed', job => metrics.ended(job, 'failed'))
      .prependListener('jobStopped', job => metrics.ended(job, 'stopped'))
      .prependListener('jobReturned', job => metrics.left(job, 'returned'))
      .prependListener('jobLost', job => metrics.left(job, 'lost'))
      .prependListener('jobRetried', job => metrics.retried(job))
      .prependListener('recovered', (queue, ids) => metrics.recovered(queue, ids.length))
      .prependListener('abandoned', (queue, ids) => metrics.abandoned(queue, ids.length));
  }

  /** @throws {RqError} where nothing can be served there. */
  static async start(subject: Subject, { port, host }: Served): Promise<MetricsServer> {
    const it = new MetricsServer(subject);
    try {
      it.#server.listen(port, host);
      await once(it.#server, 'listening');
    } catch (error) {
      it.#link.close();
      const why = `Metrics can't be served on ${host}:${port}: ${messageOf(error)}`;
      throw new RqError('RQ_METRICS', why, { cause: error });
    }
    it.#server.on('error', error => subject.warn(`Metrics are not served: ${messageOf(error)}`));
    return it;
  }

  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#store.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const [status, type, body] = await this.#page(request);
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : body);
    } catch (error) {
      this.#subject.warn(`Metrics could not be told: ${messageOf(error)}`);
      if (!response.headersSent) response.writeHead(500, { 'content-type': TEXT });
      response.end('error\n');
    }
  }

  async #page({ method, url = '/' }: IncomingMessage): Promise<[status: number, type: string, body: string]> {
    if (method !== 'GET' && method !== 'HEAD') return [405, TEXT, 'GET and HEAD only\n'];
    const path = url.replace(/\?.*$/s, '');
    if (path === '/metrics') return [200, METRICS, await this.#text()];
    if (path !== '/healthz' && path !== '/readyz') return [404, TEXT, '/metrics, /healthz and /readyz\n'];
    const health = this.#subject.health();
    const wrong = path === '/healthz' ? unhealthy(health) : unready(health);
    return wrong === undefined ? [200, TEXT, 'ok\n'] : [503, TEXT, `${wrong}\n`];
  }

  async #text(): Promise<string> {
    const { concurrency, running } = this.#subject;
    return this.#metrics.text({ running: running(), concurrency }, await this.#queues());
  }

  /** How those of the worker's queues stand that can be read; `undefined` where Redis says nothing of any in time. */
  async #queues(): Promise<QueueState[] | undefined> {
    const { queues } = this.#subject.worker;
    const states = await Promise.all(queues.map(queue => this.#queue(queue).catch(this.#untold(queue))));
    const told = states.filter(state => state !== undefined);
    return told.length === 0 ? undefined : told;
  }

  /** What passes shows in `rq_redis_up`; a right that the user lacks, or a key of a wrong type, does not pass. */
  #untold(queue: string): (error: unknown) => undefined {
    return error => {
      if (!(error instanceof RedisRefusedError) || this.#warned.has(queue)) return;
      this.#warned.add(queue);
      this.#subject.warn(`Metrics say nothing of queue ${queue}: ${error.message}`);
    };
  }

  async #queue(queue: string): Promise<QueueState> {
    const keys = this.#store.keys.queue(queue);
    const [stats, ...counts] = await Promise.all([
      this.#store.queues.stats(keys),
      ...REGISTRIES.map(name => new Registry(this.#store, keys, name).count()),
    ]);
    const registries = Object.fromEntries(REGISTRIES.map((name, i) => [name, counts[i] ?? 0]));
    return { queue, ...stats, registries };
  }
}
