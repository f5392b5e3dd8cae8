/**
 * If this breaks: the dashboard shows empty panels on the day when somebody needs it, or strangers read how the system
 * is doing.
 */
import { commonMetrics, type MetricDefinition } from '@infrasignal/service-kit';
import { scrape, startTestStack } from '@infrasignal/testkit';
import type { SyntaxNodeRef } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { metrics as authMetrics } from '../services/auth-service/src/metrics.ts';
import { metrics as notifyMetrics } from '../services/notify-service/src/metrics.ts';

interface Target {
  readonly expr: string;
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly Target[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly definition?: string }[] };
}

interface Query {
  readonly panel: string;
  readonly metrics: readonly string[];
  readonly labels: readonly string[];
  readonly hasErrors: boolean;
}

/** Added by Prometheus, or by the buckets of a histogram. */
const OTHER_LABELS = new Set(['instance', 'job', 'le']);

const text = readFileSync(new URL('../deploy/grafana/infrasignal.json', import.meta.url), 'utf8');
const dashboard = JSON.parse(text) as Dashboard;

function readQuery(panel: string, expression: string): Query {
  const query = expression.replaceAll('$__rate_interval', '5m');
  const metrics: string[] = [];
  const labels: string[] = [];
  let hasErrors = false;
  const textOf = ({ from, to }: SyntaxNodeRef): string => query.slice(from, to);
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) hasErrors = true;
      if (node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector') metrics.push(textOf(node));
      if (node.name === 'LabelName') labels.push(textOf(node));
    },
  });
  return { panel, metrics, labels, hasErrors };
}

const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => readQuery(title, expr)),
);

/** A histogram is served as three series. */
function seriesOf({ name, type }: MetricDefinition): string[] {
  return type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
}

const definitions: readonly MetricDefinition[] = Object.values({ ...commonMetrics, ...authMetrics, ...notifyMetrics });
const definitionBySeries = new Map(definitions.flatMap((definition) => seriesOf(definition).map((name) => [name, definition])));

t.test('R17 every query of the dashboard is one, and names labels that its metrics have', async (t) => {
  t.ok(queries.length > 30);
  for (const { panel, metrics, labels, hasErrors } of queries) {
    t.notOk(hasErrors, `${panel}: PromQL`);
    t.equal(metrics.length, 1, `${panel}: one metric a query`);
    const known = new Set([...OTHER_LABELS, ...(definitionBySeries.get(metrics[0] ?? '')?.labels ?? [])]);
    t.strictSame(labels.filter((label) => !known.has(label)), [], panel);
  }
});

t.test('R17 a query that is none, or names what does not exist, would be noticed', async (t) => {
  t.ok(readQuery('', 'sum by (').hasErrors);
  const query = readQuery('', 'sum by (one) (rate(nothing_total{two="x"}[5m]))');
  t.strictSame(query, { panel: '', metrics: ['nothing_total'], labels: ['one', 'two'], hasErrors: false });
});

t.test('R17 the dashboard names nothing that the running services do not serve, and misses no event metric', async (t) => {
  const stack = await startTestStack(t);
  const [auth, notify] = await Promise.all([scrape(stack.auth.url), scrape(stack.notify.url)]);
  const served = new Set([...auth.names, ...notify.names]);
  for (const { panel, metrics } of queries) {
    for (const name of metrics) t.ok(served.has(definitionBySeries.get(name)?.name ?? name), `${panel}: ${name}`);
  }
  for (const { definition } of dashboard.templating.list) {
    const [, name] = /^label_values\((\w+), \w+\)$/.exec(definition ?? '') ?? [];
    if (name !== undefined) t.ok(served.has(name), name);
  }
  for (const { name } of definitions) t.ok(served.has(name), `${name} is served by a service that has it`);

  for (const path of ['/metrics', '/metrics/', '/api/metrics', '/ws/metrics', '/sse/metrics', '/healthz', '/readyz']) {
    t.equal((await fetch(`${stack.url}${path}`)).status, 404, `${path} is not for those behind the gateway`);
  }
});
