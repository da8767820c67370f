/** Spans of OpenTelemetry: one where a job is put on its queue, and one for each of its runs, in the same trace. */
import { createRequire } from 'node:module';
// types only: the package is loaded once somebody has registered a tracer, and else not needed
import type * as OpenTelemetry from '@opentelemetry/api';
import type { Context, Span, SpanOptions } from '@opentelemetry/api';
import type { FunctionTable } from './functions.ts';
import { messageOf } from './options.ts';
import type { Outcome } from './outcome.ts';
import type { Prepared } from './prepare.ts';
import { metaOf, type Fields } from './record.ts';
import type { Done, Run, RunOptions } from './run.ts';
import { VERSION } from './version.ts';

/** Where every copy of OpenTelemetry's API in the process keeps what was registered. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');
const shared = globalThis as typeof globalThis & { readonly [REGISTERED]?: { readonly trace?: unknown } };
/** W3C Trace Context: version, trace, span and flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;
const NAME_LENGTH = 128;

let loaded: Tracing | 'none' | undefined;

/** `undefined` where no tracer is registered: to find that out is all that it costs then. */
export function activeTracing(): Tracing | undefined {
  if (shared[REGISTERED]?.trace === undefined) return undefined;
  loaded ??= load();
  return loaded === 'none' ? undefined : loaded;
}

/** Performs a run, within a span where somebody traces. */
export function perform(run: Run, functions: FunctionTable, options: RunOptions, done: Done): void {
  const tracing = activeTracing();
  if (tracing === undefined) run.perform(functions, options, done);
  else tracing.consume(run, done, traced => run.perform(functions, options, traced));
}

function load(): Tracing | 'none' {
  try {
    const api = createRequire(import.meta.url)('@opentelemetry/api') as typeof OpenTelemetry;
    return new Tracing(api);
  } catch {
    // whoever registered a tracer has a copy that can't be found from here
    return 'none';
  }
}

/** Whatever goes wrong with a span, the job is queued, and runs, as without. */
class Tracing {
  readonly #api: typeof OpenTelemetry;

  constructor(api: typeof OpenTelemetry) {
    this.#api = api;
  }

  /** Sends jobs that carry the context of their spans in `meta`; the spans end with the reply. */
  async produce<T>(
    queue: string,
    jobs: readonly Prepared[],
    send: (jobs: readonly Prepared[]) => Promise<T>,
  ): Promise<T> {
    const spans: Span[] = [];
    const traced = jobs.map(prepared => {
      const span = this.#quietly(() =>
        this.#start('enqueue', queue, prepared.job.id, prepared.call.functionName),
      );
      if (span === undefined) return prepared;
      spans.push(span);
      return { ...prepared, job: { ...prepared.job, settings: this.#carrying(prepared.job.settings, span) } };
    });
    try {
      return await send(traced);
    } catch (error) {
      for (const span of spans) this.#quietly(() => this.#failed(span, error));
      throw error;
    } finally {
      for (const span of spans) this.#quietly(() => span.end());
    }
  }

  /** Calls `begin` within the span of the run, which ends with its outcome. */
  consume(run: Run, done: Done, begin: (done: Done) => void): void {
    const { context, trace } = this.#api;
    const within = this.#quietly(() => {
      const parent = this.#contextOf(run.fields);
      const span = this.#start('run', run.queue, run.jobId, nameOf(run), parent);
      span.setAttributes({ 'rq.worker': run.worker, 'rq.execution_id': run.executionId });
      return { span, context: trace.setSpan(parent, span) };
    });
    if (within === undefined) return begin(done);
    const { span } = within;
    context.with(within.context, begin, undefined, (outcome: Outcome) => {
      this.#quietly(() => {
        span.setAttribute('rq.outcome', typeof outcome === 'string' ? outcome : outcome.status);
        if (typeof outcome !== 'string' && outcome.status === 'failed') this.#failed(span, outcome.error);
        span.end();
      });
      done(outcome, run);
    });
  }

  #start(
    operation: 'enqueue' | 'run',
    queue: string,
    jobId: string,
    functionName: string,
    parent?: Context,
  ): Span {
    const { SpanKind, context, trace } = this.#api;
    const options: SpanOptions = {
      kind: operation === 'enqueue' ? SpanKind.PRODUCER : SpanKind.CONSUMER,
      attributes: {
        'messaging.system': 'rq',
        'messaging.destination.name': queue,
        'messaging.operation.name': operation,
        'messaging.operation.type': operation === 'enqueue' ? 'send' : 'process',
        'messaging.message.id': jobId,
        'rq.function': functionName,
      },
    };
    const name = `${operation} ${functionName}`.slice(0, NAME_LENGTH);
    return trace.getTracer('rq-node', VERSION).startSpan(name, options, parent ?? context.active());
  }

  #failed(span: Span, error: unknown): void {
    const message = messageOf(error);
    span.recordException(error instanceof Error ? error : message);
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
  }

  /** A job's settings with the span's context in its `meta`, where one is to be carried. */
  #carrying(settings: readonly string[], span: Span): readonly string[] {
    const { traceId, spanId, traceFlags, traceState } = span.spanContext();
    if (!this.#api.isSpanContextValid(span.spanContext())) return settings;
    const at = settings.findIndex((name, i) => i % 2 === 0 && name === 'meta');
    const meta = at === -1 ? {} : (JSON.parse(settings[at + 1] ?? '{}') as Record<string, unknown>);
    meta['traceparent'] = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
    const state = traceState?.serialize() ?? '';
    if (state === '') delete meta['tracestate'];
    else meta['tracestate'] = state;
    const text = JSON.stringify(meta);
    return at === -1 ? [...settings, 'meta', text] : settings.with(at + 1, text);
  }

  /** What a job's `meta` says of the trace it belongs to. */
  #contextOf(fields: Fields): Context {
    const { ROOT_CONTEXT, createTraceState, isSpanContextValid, trace } = this.#api;
    const { traceparent, tracestate } = metaOf(fields);
    const found = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null;
    if (found === null) return ROOT_CONTEXT;
    const [, traceId = '', spanId = '', flags = ''] = found;
    const parent = {
      traceId,
      spanId,
      traceFlags: Number.parseInt(flags, 16) & 1,
      isRemote: true,
      ...(typeof tracestate === 'string' ? { traceState: createTraceState(tracestate) } : {}),
    };
    return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
  }

  #quietly<T>(act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      this.#api.diag.error(`rq-node: a span failed: ${messageOf(error)}`);
      return undefined;
    }
  }
}

function nameOf(run: Run): string {
  try {
    return run.call.functionName;
  } catch {
    // the run fails for just that
    return '';
  }
}
