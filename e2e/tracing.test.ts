/**
 * If this breaks: somebody asks why a notification came late, or not at all, and nobody can find in the logs what
 * happened to it; or what is logged and exported to find it gives passwords and tokens away.
 */
import { BEARER_SUBPROTOCOL_PREFIX, SUBPROTOCOL } from '@infrasignal/shared';
import { readStream, startTestStack, waitFor, type TestContext } from '@infrasignal/testkit';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import { WebSocket } from 'ws';

interface ExportedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
}

interface ExportBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { key: string; value: { stringValue?: string } }[] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<ExportedSpan, 'service'>[] }[];
  }[];
}

interface Collector {
  readonly url: string;
  readonly spans: ExportedSpan[];
  /** Everything that was received, as text. */
  readonly text: () => string;
}

/** The receiving end of OTLP over HTTP with JSON, as an OpenTelemetry collector has it. */
async function startCollector(t: TestContext): Promise<Collector> {
  const bodies: string[] = [];
  const spans: ExportedSpan[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      bodies.push(body);
      for (const { resource, scopeSpans } of (JSON.parse(body) as ExportBody).resourceSpans) {
        const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
        spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, service }))));
      }
      response.writeHead(request.url === '/v1/traces' ? 200 : 404, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, text: () => bodies.join('\n') };
}

interface Frame {
  readonly type: string;
  readonly traceparent?: string;
}

const PHONE_NUMBER = '+33612345678';
const PASSWORD = 'canary of a password, and a long one';
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLERS_SPAN_ID = '00f067aa0ba902b7';

/** A client of the user’s, and what it has received. */
async function listen(t: TestContext, url: string, access: string): Promise<readonly Frame[]> {
  const frames: Frame[] = [];
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws/notifications/`, [
    SUBPROTOCOL,
    `${BEARER_SUBPROTOCOL_PREFIX}${access}`,
  ]);
  t.teardown(() => socket.terminate());
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
  await waitFor(() => frames.some(({ type }) => type === 'connected'));
  return frames;
}

test('a trace leads from the request over logs, event and spans to the frame, and carries no secret', async (t) => {
  const collector = await startCollector(t);
  // Batches leave as soon as there is something in them.
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '50', LOG_LEVEL: 'trace' };
  const stack = await startTestStack(t, { hasGateway: false, authEnv: env, notifyEnv: env });
  const secrets = new Set<string>([PASSWORD]);
  const post = async (path: string, headers: Record<string, string> = {}): Promise<{ access: string; refresh: string }> => {
    const answer = await fetch(`${stack.auth.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ phone_number: PHONE_NUMBER, password: PASSWORD }),
    });
    t.ok(answer.ok, `${path} ${answer.status}`);
    const tokens = (await answer.json()) as { access: string; refresh: string };
    secrets.add(tokens.access).add(tokens.refresh);
    return tokens;
  };
  const { access } = await post('/api/register/');
  const frames = await listen(t, stack.notify.url, access);
  await post('/api/login/', { traceparent: `00-${TRACE_ID}-${CALLERS_SPAN_ID}-01` });

  const frame = await waitFor(() => frames.find(({ type }) => type === 'user.login'));
  const ofTrace = (): ExportedSpan[] => collector.spans.filter(({ traceId }) => traceId === TRACE_ID);
  await waitFor(() => ofTrace().length === 3, { description: 'the spans of the request, the relay and the node' });
  const [request, publish, deliver] = ['POST /api/login', 'publish user.login', 'deliver'].map((name) =>
    ofTrace().find((span) => span.name.replace(/\/$/, '') === name),
  );
  t.match(request, { service: 'auth-service', parentSpanId: CALLERS_SPAN_ID, kind: 2 }, 'the caller’s trace goes on');
  t.match(publish, { service: 'auth-service', parentSpanId: request?.spanId, kind: 4 });
  t.match(deliver, { service: 'notify-service', parentSpanId: request?.spanId, kind: 5 });
  t.equal(frame.traceparent, `00-${TRACE_ID}-${request?.spanId ?? ''}-01`);
  const [, stored] = await readStream<{ traceparent: string }>({
    url: stack.nats.url,
    stream: 'EVENTS',
    subject: 'users.>',
  });
  t.equal(stored?.data.traceparent, frame.traceparent);
  const lines = stack.auth.logs().split('\n').filter((line) => line.includes(TRACE_ID));
  t.equal(lines.length, 1, 'the request’s line');
  t.match(JSON.parse(lines[0] ?? '{}'), { trace_id: TRACE_ID, reqId: /^[0-9a-f-]{36}$/, req: { path: '/api/login/' } });

  const everything = [stack.auth.logs(), stack.notify.logs(), collector.text()].join('\n');
  for (const secret of secrets) {
    for (const disguise of [secret, encodeURIComponent(secret), secret.split('.').at(-1) ?? '']) {
      t.notOk(everything.includes(disguise), 'no secret is logged or exported');
    }
  }
});

test('without a receiver there are no spans, and the trace is there all the same', async (t) => {
  const stack = await startTestStack(t, { hasGateway: false, authEnv: { LOG_LEVEL: 'info' } });
  await fetch(`${stack.auth.url}/api/register/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: PHONE_NUMBER, password: PASSWORD }),
  });
  const read = async (): Promise<string | undefined> => {
    const messages = await readStream<{ traceparent: string }>({ url: stack.nats.url, stream: 'EVENTS', subject: 'users.>' });
    return messages[0]?.data.traceparent;
  };
  const traceparent = await waitFor(read);
  t.match(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  const traceId = traceparent.split('-')[1] ?? '';
  // The request's line is written when its answer is on the wire already.
  await waitFor(() => stack.auth.logs().includes(traceId), { description: 'the trace in the log' });
});

test('a receiver that is not there keeps nothing from working', async (t) => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_BSP_SCHEDULE_DELAY: '50' };
  const stack = await startTestStack(t, { hasGateway: false, authEnv: env, notifyEnv: env });
  const answer = await fetch(`${stack.auth.url}/api/register/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: PHONE_NUMBER, password: PASSWORD }),
  });
  t.equal(answer.status, 201);
});
