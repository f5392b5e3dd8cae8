/** The value below which this share (0 to 1) of the samples lies, by nearest rank. NaN without samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/** The middle sample, or the mean of the two in the middle. NaN without samples. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? NaN;
  const high = sorted[Math.floor(middle)] ?? NaN;
  return (low + high) / 2;
}

/**
 * How far the samples lie apart, as a share of their median: (max − min) ÷ median. 0.1 means that the figure may be
 * believed to about a tenth. NaN without samples.
 */
export function spread(samples: readonly number[]): number {
  if (samples.length === 0) return NaN;
  return (percentile(samples, 1) - percentile(samples, 0)) / median(samples);
}

export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Latencies or the like, in the unit of the samples. */
export function summarise(samples: readonly number[]): Summary {
  return {
    count: samples.length,
    min: percentile(samples, 0),
    p50: percentile(samples, 0.5),
    p90: percentile(samples, 0.9),
    p99: percentile(samples, 0.99),
    max: percentile(samples, 1),
  };
}

/**
 * How likely two samples of one and the same thing lie at least so far apart by rank (Mann-Whitney U, two-sided; normal
 * approximation with corrections for ties and continuity, good from about ten of each). It asks nothing of how the
 * values are distributed. NaN without samples.
 */
export function mannWhitneyP(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return NaN;
  const all = [...a.map((value) => ({ value, isOfA: true })), ...b.map((value) => ({ value, isOfA: false }))];
  all.sort((first, second) => first.value - second.value);
  let rankSumOfA = 0;
  let tieSum = 0;
  for (let from = 0; from < all.length; ) {
    let to = from + 1;
    while (to < all.length && all[to]?.value === all[from]?.value) to += 1;
    const ties = to - from;
    const rank = (from + 1 + to) / 2; // equal values share the mean of their ranks
    rankSumOfA += rank * all.slice(from, to).filter(({ isOfA }) => isOfA).length;
    tieSum += ties ** 3 - ties;
    from = to;
  }
  const count = all.length;
  const u = rankSumOfA - (a.length * (a.length + 1)) / 2;
  const mean = (a.length * b.length) / 2;
  const variance = ((a.length * b.length) / 12) * (count + 1 - tieSum / (count * (count - 1)));
  if (variance === 0) return 1;
  const z = Math.max(0, Math.abs(u - mean) - 0.5) / Math.sqrt(variance);
  return Math.min(1, 2 * normalTail(z));
}

/** The share of a normal distribution beyond z ≥ 0; Abramowitz and Stegun 26.2.17, wrong by less than 1e-7. */
function normalTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const series = ((((1.330274429 * t - 1.821255978) * t + 1.781477937) * t - 0.356563782) * t + 0.31938153) * t;
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series;
}
