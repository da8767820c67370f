import { SpanKind, SpanStatusCode, context, createTraceState, trace, type Span } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
  type Sampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Queue, getCurrentJob } from '../lib/index.ts';
import { useQueue, useRedis, useWorkers } from './support/in-process.ts';

const redis = useRedis();
const q = useQueue(redis, 'q');
const makeWorker = useWorkers(redis);

const spans = new InMemorySpanExporter();
const thrown = new RangeError('too far');
const functions = {
  ok: () => 'fine',
  fail: () => Promise.reject(thrown),
  traced: () => trace.getActiveSpan()?.spanContext().spanId,
  async passOn() {
    await new Promise(resolve => setImmediate(resolve));
    const job = await q.enqueue('ok', [], { meta: { ...getCurrentJob()?.meta } });
    return job.id;
  },
};

/** Registers a tracer, as whoever traces does before all else. */
function register(processors: readonly SpanProcessor[] = [], sampler?: Sampler): void {
  const all = [new SimpleSpanProcessor(spans), ...processors];
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: all, ...(sampler === undefined ? {} : { sampler }) }),
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

const work = (): Promise<void> => makeWorker(functions).work({ burst: true });
const named = (name: string): ReadableSpan[] => spans.getFinishedSpans().filter(span => span.name === name);
const meta = async (id: string): Promise<Record<string, unknown>> =>
  JSON.parse((await redis.client.hget(`rq:job:${id}`, 'meta')) ?? '{}') as Record<string, unknown>;
const traceparentOf = (span: ReadableSpan | undefined): string => {
  const { traceId, spanId, traceFlags } = (span as ReadableSpan).spanContext();
  return `00-${traceId}-${spanId}-0${traceFlags}`;
};

afterEach(() => {
  trace.disable();
  context.disable();
  spans.reset();
});

describe('without a tracer', () => {
  it('nothing is added to a job', async () => {
    const job = await q.enqueue('ok');
    expect(await redis.client.hexists(`rq:job:${job.id}`, 'meta')).toBe(0);
    await work();
    expect(await job.result).toBe('fine');
  });
});

describe('with a tracer', () => {
  beforeEach(() => register());

  it('enqueue is a producer span within the caller’s, and meta carries its context', async () => {
    const job = await trace.getTracer('spec').startActiveSpan('caller', async (span: Span) => {
      const made = await q.enqueue('ok', [1], { meta: { mine: [1] } });
      span.end();
      return made;
    });
    const [[caller], [enqueue]] = [named('caller'), named('enqueue ok')];
    expect(enqueue).toMatchObject({
      kind: SpanKind.PRODUCER,
      status: { code: SpanStatusCode.UNSET },
      parentSpanContext: { spanId: caller?.spanContext().spanId },
      attributes: {
        'messaging.system': 'rq',
        'messaging.destination.name': 'q',
        'messaging.operation.name': 'enqueue',
        'messaging.operation.type': 'send',
        'messaging.message.id': job.id,
        'rq.function': 'ok',
      },
    });
    const expected = { mine: [1], traceparent: traceparentOf(enqueue) };
    expect(await meta(job.id)).toEqual(expected);
    expect(job.meta).toEqual(expected);
  });

  it('a run is a consumer span, a child of the one that enqueued it', async () => {
    const job = await q.enqueue('traced');
    await work();
    const [[enqueue], [run]] = [named('enqueue traced'), named('run traced')];
    expect(run).toMatchObject({
      kind: SpanKind.CONSUMER,
      status: { code: SpanStatusCode.UNSET },
      parentSpanContext: { spanId: enqueue?.spanContext().spanId, isRemote: true },
      attributes: {
        'messaging.system': 'rq',
        'messaging.destination.name': 'q',
        'messaging.operation.name': 'run',
        'messaging.operation.type': 'process',
        'messaging.message.id': job.id,
        'rq.function': 'traced',
        'rq.outcome': 'finished',
        'rq.worker': await redis.client.hget(`rq:job:${job.id}`, 'worker_name'),
        'rq.execution_id': await redis.client.hget(`rq:job:${job.id}`, 'execution_id'),
      },
    });
    expect(run?.spanContext().traceId).toBe(enqueue?.spanContext().traceId);
    // and what the function itself does is within it
    expect(await job.result).toBe(run?.spanContext().spanId);
  });

  it('a job that a function enqueues is in the same trace, whatever meta it was handed', async () => {
    const job = await q.enqueue('passOn');
    await work();
    const [[first], [run], [second], [last]] = [
      named('enqueue passOn'),
      named('run passOn'),
      named('enqueue ok'),
      named('run ok'),
    ];
    expect(second?.parentSpanContext?.spanId).toBe(run?.spanContext().spanId);
    expect(last?.parentSpanContext?.spanId).toBe(second?.spanContext().spanId);
    expect(last?.spanContext().traceId).toBe(first?.spanContext().traceId);
    expect(await meta((await job.result) as string)).toEqual({ traceparent: traceparentOf(second) });
  });

  it('each failed run has an error status, and what was thrown', async () => {
    await q.enqueue('fail', [], { retry: { max: 1 } });
    await work();
    const [enqueue] = named('enqueue fail');
    const runs = named('run fail');
    expect(runs).toHaveLength(2);
    for (const run of runs) {
      expect(run.status).toEqual({ code: SpanStatusCode.ERROR, message: 'too far' });
      expect(run.attributes['rq.outcome']).toBe('failed');
      expect(run.parentSpanContext?.spanId).toBe(enqueue?.spanContext().spanId);
      expect(run.events).toMatchObject([
        { name: 'exception', attributes: { 'exception.type': 'RangeError', 'exception.message': 'too far' } },
      ]);
    }
    expect(enqueue?.status.code).toBe(SpanStatusCode.UNSET);
  });

  it('jobs that can’t be read have a span of their own that failed', async () => {
    await redis.client.hset('rq:job:odd', { status: 'queued', origin: 'q', data: 'nonsense', meta: '[]' });
    await redis.client.rpush('rq:queue:q', 'odd');
    await work();
    const [run] = named('run ');
    expect(run?.status).toMatchObject({ code: SpanStatusCode.ERROR, message: /data is not JSON/ });
    expect(run?.parentSpanContext).toBeUndefined();
  });

  it('each call of enqueueMany, a group, a chain and a schedule has its own span', async () => {
    const many = await q.enqueueMany([['ok'], ['ok']]);
    const group = await q.group([['ok'], ['ok']]);
    const chained = await q.chain([['ok'], ['ok']]);
    const later = await q.enqueueIn('1h', 'ok');
    const ids = [
      ...many.map(({ id }) => id),
      ...group.jobIds,
      ...chained.dependencyIds,
      chained.id,
      later.id,
    ];
    const found = named('enqueue ok');
    expect(found.map(span => span.attributes['messaging.message.id'])).toEqual(ids);
    const carried = await Promise.all(ids.map(id => meta(id)));
    expect(carried).toEqual(found.map(span => ({ traceparent: traceparentOf(span) })));
  });

  it('a call that is refused has an error status', async () => {
    await q.enqueue('ok', [], { jobId: 'one' });
    await expect(q.enqueue('ok', [], { jobId: 'one' })).rejects.toMatchObject({ code: 'RQ_DUPLICATE_JOB' });
    const codes = named('enqueue ok').map(({ status }) => status.code);
    expect(codes).toEqual([SpanStatusCode.UNSET, SpanStatusCode.ERROR]);
  });

  it('isAsync: false has both spans, one within the other', async () => {
    await using now = new Queue('now', { connection: redis.url, isAsync: false });
    const job = await now.enqueue(functions.ok);
    expect(await job.result).toBe('fine');
    const [[enqueue], [run]] = [named('enqueue ok'), named('run ok')];
    expect(run?.parentSpanContext?.spanId).toBe(enqueue?.spanContext().spanId);
  });

  it.each(['', 'nonsense', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`, 5, null])(
    'a job whose traceparent is %j has a trace of its own',
    async traceparent => {
      const job = await q.enqueue('ok');
      await redis.client.hset(`rq:job:${job.id}`, 'meta', JSON.stringify({ traceparent }));
      await work();
      const [run] = named('run ok');
      expect(run?.parentSpanContext).toBeUndefined();
      expect(await job.result).toBe('fine');
    },
  );

  it('tracestate travels with it', async () => {
    const parent = {
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
      traceFlags: 1,
      traceState: createTraceState('vendor=x,other=y'),
    };
    const job = await context.with(trace.setSpanContext(context.active(), parent), () => q.enqueue('ok'));
    expect(await meta(job.id)).toEqual({
      traceparent: traceparentOf(named('enqueue ok')[0]),
      tracestate: 'vendor=x,other=y',
    });
    await work();
    const [run] = named('run ok');
    expect(run?.spanContext().traceId).toBe('a'.repeat(32));
    expect(run?.spanContext().traceState?.serialize()).toBe('vendor=x,other=y');
  });
});

describe('with a tracer that takes no sample', () => {
  it('the run is no sample either', async () => {
    const sampled: boolean[] = [];
    register([], {
      shouldSample: (parent, _, name) => {
        if (name === 'run ok') sampled.push(((trace.getSpanContext(parent)?.traceFlags ?? 0) & 1) === 1);
        return { decision: 0 };
      },
    });
    const job = await q.enqueue('ok');
    expect((await meta(job.id))['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    await work();
    expect(sampled).toEqual([false]);
    expect(spans.getFinishedSpans()).toEqual([]);
  });
});

describe('with a tracer that throws', () => {
  it.each(['onStart', 'onEnd'] as const)('in its %s, jobs are queued and run all the same', async when => {
    const processor: SpanProcessor = {
      onStart() {},
      onEnd() {},
      forceFlush: () => Promise.resolve(),
      shutdown: () => Promise.resolve(),
      [when]: () => {
        throw new Error('broken tracer');
      },
    };
    register([processor]);
    const [good, bad] = await q.enqueueMany([['ok'], ['fail']]);
    await work();
    expect(await good.result).toBe('fine');
    expect(await bad.getStatus()).toBe('failed');
  });
});
