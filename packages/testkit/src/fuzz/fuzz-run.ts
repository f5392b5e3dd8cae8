import fc from 'fast-check';

interface Reporter {
  comment(text: string): unknown;
  notOk(value: unknown, message: string): unknown;
}

/** A few seconds in every run of the tests. FUZZ_CASES=50000 looks further. */
const CASES_DEFAULT = 200;

/** Cases under way at once: two cores are never idle, and a failure is still there when only one is tried again. */
const LANES = 4;

/** Of one run of the tests: FUZZ_SEED repeats it. */
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

const FUZZ_CASES = Number(process.env.FUZZ_CASES ?? CASES_DEFAULT);

/** A minute for a few, and as long as it takes for many on a machine that does something else as well. */
export const FUZZ_TIMEOUT_MS = 60_000 + FUZZ_CASES * 100;

/**
 * Tries made-up cases until one fails; fast-check then looks for the smallest that does.
 * @param share of FUZZ_CASES that this kind of case gets
 * @param tryCase throws when something is wrong
 */
export async function fuzz<Case>(
  t: Reporter,
  name: string,
  { cases, share, tryCase }: { cases: fc.Arbitrary<Case>; share: number; tryCase: (one: Case) => Promise<void> },
): Promise<void> {
  const numRuns = Math.ceil((FUZZ_CASES * share) / LANES);
  t.comment(`${name}: ${numRuns * LANES} cases, FUZZ_SEED=${seed}`);
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    fc.check(fc.asyncProperty(cases, tryCase), { numRuns, seed: seed + lane }),
  );
  for (const { failed, errorInstance } of await Promise.all(lanes)) {
    t.notOk(failed, failed ? `${name}: ${String(errorInstance)}` : `${name}: nothing is wrong`);
  }
}
