import { commonMetrics, type MetricTable } from '../../packages/service-kit/src/metrics/metric-definitions.ts';
import { metrics as authMetrics } from '../../services/auth-service/src/metrics.ts';
import { metrics as notifyMetrics } from '../../services/notify-service/src/metrics.ts';
import { code, GENERATED_NOTE, renderTable } from './markdown.ts';

function renderMetricTable(table: MetricTable): string {
  const rows = Object.values(table).map(({ name, type, labels, help }) => [
    code(name),
    type,
    labels.map(code).join(', ') || '–',
    help,
  ]);
  return renderTable(['Name', 'Type', 'Labels', 'Meaning'], rows);
}

/** docs/metrics.md */
export function renderMetrics(): string {
  return `${GENERATED_NOTE}

# Metrics

\`GET /metrics\` of each instance answers in Prometheus' text format, on the service's own port (8001 auth-service, 8002
notify-service). It is not for everybody: what stands in front of the services routes prefixes, and \`/metrics\` is none
of them; keep it so. Scrape every instance by itself. What is read at a scrape costs the service nothing between
scrapes, and no scrape walks the open connections.

[deploy/grafana](../deploy/grafana) has a dashboard over them. What \`/healthz\` and \`/readyz\` mean is in
[health.md](health.md).

## Every service

${renderMetricTable(commonMetrics)}

## auth-service

${renderMetricTable(authMetrics)}

## notify-service

${renderMetricTable(notifyMetrics)}
`;
}
