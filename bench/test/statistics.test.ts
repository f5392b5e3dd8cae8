// If these are wrong, every figure that is published about this system is wrong, and nobody can see it from outside.
import t from 'tap';
import { mannWhitneyP, median, percentile, spread, summarise } from '../statistics.ts';

const oneToHundred = Array.from({ length: 100 }, (_, index) => 100 - index);

t.test('a percentile is a sample that was measured, by nearest rank', async (t) => {
  const cases: [samples: number[], share: number, expected: number][] = [
    [oneToHundred, 0, 1],
    [oneToHundred, 0.005, 1],
    [oneToHundred, 0.5, 50],
    [oneToHundred, 0.99, 99],
    [oneToHundred, 0.991, 100],
    [oneToHundred, 1, 100],
    [[7], 0.5, 7],
    [[7], 0.99, 7],
    [[-3, 10, 2], 0.5, 2], // by value, not by the digits
    [[15, 20, 35, 40, 50], 0.3, 20],
    [[15, 20, 35, 40, 50], 0.4, 20],
    [[15, 20, 35, 40, 50], 0.41, 35],
  ];
  for (const [samples, share, expected] of cases) {
    t.equal(percentile(samples, share), expected, `share ${share} of ${samples.length} samples`);
  }
});

t.test('the median of an even number of samples lies between the two in the middle', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([10, 1, 2, 3]), 2.5);
  t.equal(median([100, 9]), 54.5);
  t.equal(median([5]), 5);
  t.equal(median([-1, -2, -30]), -2);
});

t.test('the spread is the distance of the extremes as a share of the median', async (t) => {
  t.equal(spread([100, 100, 100]), 0);
  t.equal(spread([90, 100, 110]), 0.2);
  t.equal(spread([110, 90]), 0.2);
  t.equal(spread([42]), 0);
});

t.test('no samples give NaN, which no table can mistake for a good figure', async (t) => {
  t.ok(Number.isNaN(percentile([], 0.5)));
  t.ok(Number.isNaN(median([])));
  t.ok(Number.isNaN(spread([])));
  t.match(summarise([]), { count: 0, p50: NaN, max: NaN });
});

t.test('a summary tells count, extremes and percentiles, and leaves the samples in their order', async (t) => {
  const samples = [...oneToHundred];
  t.same(summarise(samples), { count: 100, min: 1, p50: 50, p90: 90, p99: 99, max: 100 });
  median(samples);
  t.same(samples, oneToHundred);
});

t.test('the Mann-Whitney test gives what scipy.stats.mannwhitneyu gives (method="asymptotic")', async (t) => {
  const hundreds = Array.from({ length: 400 }, (_, at) => at);
  const cases: [a: number[], b: number[], p: number][] = [
    [[19, 22, 16, 29, 24], [20, 11, 17, 12], 0.11134688653314041],
    [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 0.012185780355344813],
    [[1, 1, 2, 2, 3, 3], [2, 2, 3, 3, 4, 4], 0.11334550921952584], // with ties
    [[1, 2, 3], [1, 2, 3], 1],
    [hundreds, hundreds.map((value) => value + 20.5), 0.014495366669574556],
    [[5, 5, 5], [5, 5, 5], 1],
  ];
  for (const [a, b, p] of cases) {
    t.ok(Math.abs(mannWhitneyP(a, b) - p) < 1e-6, `${mannWhitneyP(a, b)} is ${p}`);
    t.equal(mannWhitneyP(b, a), mannWhitneyP(a, b), 'whichever is named first');
  }
  t.ok(Number.isNaN(mannWhitneyP([], [1])));
});
