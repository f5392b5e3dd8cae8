import { createTraceContext, type TraceContext } from './trace-context.ts';

/** `server`: answers a request. `producer` and `consumer`: hands an event on, and takes it. */
export type SpanKind = 'server' | 'producer' | 'consumer';

/** Figures and short names about a span. Never a header, a body or a query string: that is where tokens travel. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** Something that takes time, and is part of a trace. */
export interface Span {
  readonly context: TraceContext;
  end(name: string, outcome: { readonly isFailed: boolean; readonly attributes: SpanAttributes }): void;
}

/** Makes spans, and sends them where somebody looks at them. */
export interface Tracer {
  /** False: spans are only ids, and cost next to nothing. */
  readonly isExporting: boolean;
  /** @param startedAtMs milliseconds since 1970; now, if left out */
  start(kind: SpanKind, parent: TraceContext | null, startedAtMs?: number): Span;
  /** Sends what has not been sent yet. */
  close(): Promise<void>;
}

/** Ids without spans: logs, events and frames of one request can be found by them all the same. */
export const idOnlyTracer: Tracer = {
  isExporting: false,
  start: (_kind, parent) => ({ context: createTraceContext(parent), end: () => undefined }),
  close: () => Promise.resolve(),
};
