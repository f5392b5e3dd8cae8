export type MetricType = 'counter' | 'gauge' | 'histogram';

/** One metric as Prometheus sees it; docs/metrics.md is generated from these. */
export interface MetricDefinition {
  /** Prometheus' conventions: `_total` for counters, base units (`_seconds`, `_bytes`) in the name. */
  readonly name: string;
  readonly type: MetricType;
  /** One sentence for operators, in Markdown; also the `# HELP` line. */
  readonly help: string;
  /** Names of labels. Each value of a label is a series for ever: only values of a short, known list. */
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, in the unit of the name. */
  readonly buckets?: readonly number[];
}

/** The metrics of a service, by the names that its code has for them. */
export type MetricTable = Readonly<Record<string, MetricDefinition>>;

/** A number that only grows while the process lives. */
export function counter(name: string, help: string, labels: readonly string[] = []): MetricDefinition {
  return { name, type: 'counter', help, labels };
}

/** A number that goes up and down. */
export function gauge(name: string, help: string, labels: readonly string[] = []): MetricDefinition {
  return { name, type: 'gauge', help, labels };
}

/** A distribution over buckets. */
export function histogram(
  name: string,
  help: string,
  buckets: readonly number[],
  labels: readonly string[] = [],
): MetricDefinition {
  return { name, type: 'histogram', help, labels, buckets };
}

/**
 * Bounds for what should take milliseconds and may take seconds when something is wrong: enough to tell 1 ms from 5
 * and 1 s from 5. Each bound is a series per label value.
 */
export const LATENCY_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What every service tells of itself, whatever it does. */
export const commonMetrics = {
  buildInfo: gauge('infrasignal_build_info', 'Always 1; the labels say what is running.', [
    'service',
    'version',
    'node',
  ]),
  ready: gauge(
    'infrasignal_ready',
    '1 while the condition of `/readyz` holds, else 0. `check` is the name of the condition.',
    ['check'],
  ),
  brokerConnected: gauge(
    'infrasignal_broker_connected',
    '1 while the connection to the broker is up, else 0. A broker that stands still is noticed within 9 s.',
  ),
  httpRequests: counter(
    'infrasignal_http_requests_total',
    'Answered requests. `route` is the template of the path (`unmatched` for none), never the path itself.',
    ['method', 'route', 'status'],
  ),
  httpRequestSeconds: histogram(
    'infrasignal_http_request_duration_seconds',
    'From the first byte of a request to the last of its answer. Sockets and event streams are not among them.',
    LATENCY_BUCKETS_SECONDS,
    ['method', 'route'],
  ),
  eventLoopDelay: histogram(
    'infrasignal_event_loop_delay_seconds',
    'The longest time in each second for which the event loop did nothing else: one observation per second.',
    LATENCY_BUCKETS_SECONDS,
  ),
  readFailures: counter(
    'infrasignal_metric_read_failures_total',
    'Metrics whose value could not be read in time for a scrape; they are `NaN` or absent in it.',
    ['metric'],
  ),
  cpuSeconds: counter('process_cpu_seconds_total', 'CPU time of the process, user and system.'),
  startTime: gauge('process_start_time_seconds', 'When the process started, in seconds since 1970.'),
  residentBytes: gauge('process_resident_memory_bytes', 'Memory that the process holds.'),
  openDescriptors: gauge('process_open_fds', 'Open file descriptors, sockets included. Linux 6.2 or newer, else absent.'),
  descriptorsMax: gauge('process_max_fds', 'The limit of open file descriptors. Linux only.'),
  heapUsedBytes: gauge('nodejs_heap_size_used_bytes', 'Heap of JavaScript in use.'),
  heapTotalBytes: gauge('nodejs_heap_size_total_bytes', 'Heap of JavaScript as it is reserved.'),
  externalBytes: gauge('nodejs_external_memory_bytes', 'Memory outside of the heap that JavaScript holds: buffers.'),
} satisfies MetricTable;
