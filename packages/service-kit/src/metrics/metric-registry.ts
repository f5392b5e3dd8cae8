import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { MetricDefinition } from './metric-definitions.ts';

type LabelValue = string | number;

/**
 * What a metric stands at: a number, or one number for each value of its labels (a `Map` by the value of the only
 * label fits). Null: not known now.
 */
export type Reading =
  | number
  | null
  | Iterable<readonly [label: LabelValue | readonly LabelValue[], value: number]>;

/** Reads a value that something else keeps. Called at each scrape, so it must not walk what can be long. */
export type ReadMetric = () => Reading | Promise<Reading>;

/** One observation of a histogram. Labels in the order of the definition. */
export type Observe = (value: number, ...labels: LabelValue[]) => void;

/** One more in a counter. Labels in the order of the definition. */
export type Count = (...labels: LabelValue[]) => void;

/**
 * A scrape gives up after 10 s by default: what cannot be read within this time is left out, the rest is told. Longer
 * than a readiness check may take, which is one of them.
 */
const READ_TIMEOUT_MS = 3_000;

function labelsOf({ name, labels }: MetricDefinition, values: readonly LabelValue[]): Record<string, LabelValue> {
  if (values.length !== labels.length) throw new RangeError(`${name} has ${labels.length} labels`);
  return Object.fromEntries(labels.map((label, at) => [label, values[at] ?? '']));
}

async function withinTime(reading: Reading | Promise<Reading>): Promise<Reading> {
  if (!(reading instanceof Promise)) return reading;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error('not read in time'));
    }, READ_TIMEOUT_MS);
  });
  try {
    return await Promise.race([reading, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The metrics of one app, each registered once, from its definition. The only file that knows the library.
 *
 * Most values are kept as plain numbers by whoever counts and are read when a scrape asks, which costs the counting
 * nothing; only histograms, and what nobody else counts, are kept here.
 */
export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #onReadFailure: (metric: string, error: unknown) => void;

  /** @param onReadFailure told of a value that could not be read; the others are answered all the same */
  constructor(onReadFailure: (metric: string, error: unknown) => void) {
    this.#onReadFailure = onReadFailure;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The names that are registered. */
  get names(): readonly string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name);
  }

  /** A counter or gauge whose value is read at each scrape. */
  read(definition: MetricDefinition, source: ReadMetric): void {
    const { name, help, labels, type } = definition;
    const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
    const readInto = async (set: (labels: Record<string, LabelValue>, value: number) => void): Promise<void> => {
      let reading: Reading = null;
      try {
        reading = await withinTime(source());
      } catch (error) {
        this.#onReadFailure(name, error);
      }
      if (typeof reading === 'number') set({}, reading);
      else if (reading !== null) for (const [values, value] of reading) set(labelsOf(definition, [values].flat()), value);
      else if (labels.length === 0) set({}, Number.NaN);
    };
    if (type === 'counter') {
      const metric: Counter = new Counter({
        ...options,
        collect: () => {
          metric.reset();
          return readInto((set, value) => {
            // A counter cannot be unknown: what was not read stays at nothing and is counted as a failure.
            if (!Number.isNaN(value)) metric.inc(set, value);
          });
        },
      });
      return;
    }
    const metric: Gauge = new Gauge({
      ...options,
      collect: () => {
        metric.reset();
        return readInto((set, value) => {
          metric.set(set, value);
        });
      },
    });
  }

  /** A counter that is kept here. */
  counter(definition: MetricDefinition): Count {
    const { name, help, labels } = definition;
    const metric = new Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
    return (...values) => {
      metric.inc(labelsOf(definition, values));
    };
  }

  histogram(definition: MetricDefinition): Observe {
    const { name, help, labels, buckets = [] } = definition;
    const options = { name, help, labelNames: [...labels], buckets: [...buckets], registers: [this.#registry] };
    const metric = new Histogram(options);
    return (value, ...values) => {
      metric.observe(labelsOf(definition, values), value);
    };
  }

  /** Everything in Prometheus' text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }
}
