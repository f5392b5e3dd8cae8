import { ROOT_CONTEXT, SpanKind as OtelKind, SpanStatusCode, trace as otel, TraceFlags, type Context } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { TraceContext } from './trace-context.ts';
import type { Span, SpanKind, Tracer } from './tracer.ts';

export interface OtlpOptions {
  /** Base URL of an OTLP/HTTP receiver, for instance `http://collector:4318`; `/v1/traces` is appended. */
  readonly endpoint: string;
  readonly service: string;
  readonly version: string;
  /** Of the traces that begin here, 0 to 100. Those that others began are recorded if those who began them do. */
  readonly samplePercent: number;
}

const KINDS: Readonly<Record<SpanKind, OtelKind>> = {
  server: OtelKind.SERVER,
  producer: OtelKind.PRODUCER,
  consumer: OtelKind.CONSUMER,
};

/** A receiver that does not answer must not keep a service from ending. */
const EXPORT_TIMEOUT_MS = 2_000;

/** Spans in memory while the receiver is away; more are dropped, requests never wait for them. */
const QUEUED_SPANS_MAX = 2_048;

function toContext(parent: TraceContext | null): Context {
  if (parent === null) return ROOT_CONTEXT;
  const { traceId, spanId, isSampled } = parent;
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return otel.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** Sends spans to an OpenTelemetry collector, by OTLP over HTTP, in batches, behind everything else. */
export function createOtlpTracer({ endpoint, service, version, samplePercent }: OtlpOptions): Tracer {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.version': version }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(samplePercent / 100) }),
    spanProcessors: [
      new BatchSpanProcessor(exporter, { exportTimeoutMillis: EXPORT_TIMEOUT_MS, maxQueueSize: QUEUED_SPANS_MAX }),
    ],
  });
  const tracer = provider.getTracer('infrasignal', version);
  return {
    isExporting: true,
    start: (kind, parent, startTime): Span => {
      const span = tracer.startSpan(
        kind,
        { kind: KINDS[kind], ...(startTime === undefined ? {} : { startTime }) },
        toContext(parent),
      );
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        context: { traceId, spanId, isSampled: (traceFlags & TraceFlags.SAMPLED) !== 0 },
        end: (name, { isFailed, attributes }) => {
          span.updateName(name).setAttributes({ ...attributes });
          if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    close: async () => {
      // What cannot be sent any more is not worth an error: nothing else is lost with it.
      await provider.shutdown().catch(() => undefined);
    },
  };
}
