import { readFileSync, statSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { commonMetrics } from './metric-definitions.ts';
import type { MetricRegistry } from './metric-registry.ts';

const MICROSECONDS_PER_SECOND = 1_000_000;
const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** How often the loop is looked at: 10 ms finds what a ping would notice, and costs a hundred wake-ups a second. */
const LOOP_RESOLUTION_MS = 10;

/** One observation a second: a second in which nothing was blocked counts as much as one in which something was. */
const LOOP_WINDOW_MS = 1_000;

/**
 * The number of open descriptors, which Linux tells as the size of this folder since 6.2. Listing it would take 15 ms
 * of every scrape with 16,000 sockets (measured), in which nothing else happens. Null where the system does not say.
 */
function countOpenDescriptors(): number | null {
  const size = statSync('/proc/self/fd', { throwIfNoEntry: false })?.size ?? 0;
  return size === 0 ? null : size;
}

function findDescriptorsMax(): number | null {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/**
 * What the process itself uses, under the names that dashboards know. Not the library's own collection: it walks every
 * open socket several times in each scrape.
 */
export function registerProcessMetrics(metrics: MetricRegistry): void {
  const descriptorsMax = findDescriptorsMax();
  const startTime = Math.round(Date.now() / 1_000 - process.uptime());
  metrics.read(commonMetrics.cpuSeconds, () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / MICROSECONDS_PER_SECOND;
  });
  metrics.read(commonMetrics.startTime, () => startTime);
  metrics.read(commonMetrics.residentBytes, () => process.memoryUsage.rss());
  metrics.read(commonMetrics.openDescriptors, countOpenDescriptors);
  metrics.read(commonMetrics.descriptorsMax, () => descriptorsMax);
  metrics.read(commonMetrics.heapUsedBytes, () => process.memoryUsage().heapUsed);
  metrics.read(commonMetrics.heapTotalBytes, () => process.memoryUsage().heapTotal);
  metrics.read(commonMetrics.externalBytes, () => process.memoryUsage().external);
}

/**
 * Observes for how long the event loop was busy with one thing, once a second. Independent of scrapes, so that two
 * Prometheus servers see the same. Returns what ends it.
 */
export function watchEventLoop(metrics: MetricRegistry): () => void {
  const observe = metrics.histogram(commonMetrics.eventLoopDelay);
  const delays = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delays.enable();
  const timer = setInterval(() => {
    // What is recorded is the time between two looks; the part beyond the interval is delay.
    const worstSeconds = delays.max / NANOSECONDS_PER_SECOND - LOOP_RESOLUTION_MS / 1_000;
    delays.reset();
    observe(Math.max(0, worstSeconds));
  }, LOOP_WINDOW_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    delays.disable();
  };
}
