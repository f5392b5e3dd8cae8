// If this breaks, the trail from a request to what it set off ends in the middle, or a stranger's header gets into logs.
import Fastify from 'fastify';
import t from 'tap';
import {
  createTraceContext,
  formatTraceparent,
  idOnlyTracer,
  parseTraceparent,
  tracedLog,
  tracingPlugin,
} from '../src/index.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

t.test('what W3C Trace Context calls valid is read, and written the same', async (t) => {
  for (const [flags, isSampled] of [['00', false], ['01', true], ['03', true], ['02', false]] as const) {
    t.strictSame(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-${flags}`), {
      traceId: TRACE_ID,
      spanId: SPAN_ID,
      isSampled,
    });
  }
  t.match(parseTraceparent(`cc-${TRACE_ID}-${SPAN_ID}-01-what-comes-later`), { traceId: TRACE_ID }, 'a later version');
  t.equal(formatTraceparent({ traceId: TRACE_ID, spanId: SPAN_ID, isSampled: true }), `00-${TRACE_ID}-${SPAN_ID}-01`);
});

t.test('everything else begins a trace of its own', async (t) => {
  for (const text of [
    undefined,
    null,
    42,
    '',
    'nonsense',
    `00-${TRACE_ID}-${SPAN_ID}`,
    `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`,
    `00-${'0'.repeat(32)}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
    `00-${TRACE_ID}-${SPAN_ID}-01-more`,
    `ff-${TRACE_ID}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${SPAN_ID}-0g`,
    ` 00-${TRACE_ID}-${SPAN_ID}-01`,
    `cc-${TRACE_ID}-${SPAN_ID}-01-${'x'.repeat(300)}`,
    [`00-${TRACE_ID}-${SPAN_ID}-01`],
  ]) {
    t.equal(parseTraceparent(text), null, String(text));
  }
});

t.test('a part of a trace has the trace’s id and one of its own', async (t) => {
  const parent = { traceId: TRACE_ID, spanId: SPAN_ID, isSampled: true };
  const child = createTraceContext(parent);
  t.match(child, { traceId: TRACE_ID, isSampled: true });
  t.not(child.spanId, SPAN_ID);
  const root = createTraceContext(null);
  t.match(parseTraceparent(formatTraceparent(root)), root);
  t.not(root.traceId, createTraceContext(null).traceId);
});

t.test('a request knows its trace, from its arrival on, and no other’s', async (t) => {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  const app = Fastify({ logger: { level: 'info', stream }, ...tracedLog(idOnlyTracer) });
  await app.register(tracingPlugin, { tracer: idOnlyTracer });
  app.addHook('onRequest', async (request, reply) => void reply.header('on-arrival', request.traceparent));
  app.post('/', async (request) => {
    await new Promise((resolve) => setImmediate(resolve));
    return { traceparent: request.traceparent };
  });
  t.teardown(() => app.close());
  const parents = [createTraceContext(null), { ...createTraceContext(null), isSampled: true }];
  const answers = await Promise.all(
    parents.map((parent) =>
      app.inject({ method: 'POST', url: '/', payload: {}, headers: { traceparent: formatTraceparent(parent) } }),
    ),
  );
  for (const [at, { traceId, spanId, isSampled }] of parents.entries()) {
    const { traceparent } = answers[at]?.json<{ traceparent: string }>() ?? {};
    t.match(parseTraceparent(traceparent), { traceId, isSampled });
    t.not(parseTraceparent(traceparent)?.spanId, spanId, 'a part of its own');
    t.equal(answers[at]?.headers['on-arrival'], traceparent, 'the same whenever it is asked for');
    t.ok(lines.some((line) => line.includes(`"trace_id":"${traceId}"`)), 'and its lines in the log name it');
  }
});
