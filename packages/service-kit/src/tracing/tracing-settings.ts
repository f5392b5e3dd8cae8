import { integer, url } from '../settings.ts';
import { idOnlyTracer, type Tracer } from './tracer.ts';

/** What both services can be told about tracing, for their tables of settings. */
export const tracingSettings = {
  tracesEndpoint: {
    ...url('OTEL_EXPORTER_OTLP_ENDPOINT', {
      description:
        'Where spans are sent, by OTLP over HTTP (JSON), for instance `http://collector:4318`. Without it none are made; ' +
        'logs, events and frames carry trace ids all the same.',
      schemes: ['http', 'https'],
    }),
    fallback: '',
  },
  traceSamplePercent: integer('TRACE_SAMPLE_PERCENT', {
    description:
      'How many of a hundred traces that begin here are recorded. Those that others began (`traceparent`) are, if they say so.',
    fallback: 100,
    min: 0,
    max: 100,
  }),
};

export interface TracingConfig {
  readonly tracesEndpoint: string;
  readonly traceSamplePercent: number;
}

/** The tracer that the configuration asks for. OpenTelemetry is loaded only when it does. */
export async function createTracer(
  { tracesEndpoint, traceSamplePercent }: TracingConfig,
  { service, version }: { readonly service: string; readonly version: string },
): Promise<Tracer> {
  if (tracesEndpoint === '') return idOnlyTracer;
  const { createOtlpTracer } = await import('./otlp-tracer.ts');
  return createOtlpTracer({ endpoint: tracesEndpoint, service, version, samplePercent: traceSamplePercent });
}
