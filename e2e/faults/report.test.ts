// If this breaks: a run that failed reads like one that held, or cannot be repeated.
import { Ledger } from '@infrasignal/testkit';
import t from 'tap';
import type { FaultRunResult } from './fault-run.ts';
import { chooseSeed, createRandom, pick } from './random.ts';
import { findMissingSymptoms, formatFaults, formatReport, formatViolations, type ReportRow } from './report.ts';

const result: FaultRunResult = {
  violations: [],
  counts: {
    operations: 10,
    ok: 7,
    failed: 2,
    unknown: 1,
    events: 8,
    connections: 4,
    frames: 16,
    lost: 0,
    repeated: 0,
    foreign: 0,
    unrecovered: 0,
  },
  recoveryMs: 123.4,
  faults: { 'auth-service killed': 2, 'nats-server paused': 1 },
  figures: [],
  ledger: new Ledger(),
};

const row: ReportRow = { id: 'F1', title: '', isControl: false, durationMs: 2_000, result, obstacle: null, complaints: [] };

t.test('the table says what held, what did not, and what never got that far', async (t) => {
  const lines = formatReport([
    row,
    { ...row, complaints: ['I1 …'], result: { ...result, recoveryMs: Infinity } },
    { ...row, isControl: true },
    { ...row, isControl: true, complaints: ['not noticed: /I1/'] },
    { ...row, result: null, complaints: ['Error'] },
  ]).split('\n');
  t.match(lines[2], /^\| F1 +\| 3 +\| 10 +\| 7\/2\/1 +\| 8 +\| 16 +\| 0 +\| 0 +\| 0 +\| 123 ms +\| 2 s +\| holds +\|$/);
  t.match(lines[3], /\| – +\| 2 s +\| VIOLATED +\|$/);
  t.match(lines[4], /^\| F1 \(broken\) .* noticed +\|$/);
  t.match(lines[5], /^\| F1 \(broken\) .* NOT NOTICED +\|$/);
  t.match(lines[6], /^\| F1 .* BROKE OFF +\|$/);
  t.equal(new Set(lines.map(({ length }) => length)).size, 1, 'aligned');
});

t.test('the faults of a run are told by kind', async (t) => {
  t.equal(formatFaults(result.faults), '2 × auth-service killed, 1 × nats-server paused');
});

t.test('what this machine cannot run is in the table as skipped, with the reason below it', async (t) => {
  const skipped: ReportRow = { ...row, id: 'F5', title: 'power cut', result: null, obstacle: 'no loop devices' };
  const lines = formatReport([row, skipped]).split('\n');
  t.match(lines[3], /^\| F5 +\| – .* skipped +\|$/);
  t.same(lines.slice(4), ['', 'Skipped on this machine:', '', '* F5 (power cut): no loop devices']);
});

t.test('violations are shown up to a limit, and symptoms are looked for in all of them', async (t) => {
  const violations = Array.from({ length: 30 }, (_, at) => ({ invariant: 'I2' as const, text: `number ${at}` }));
  t.equal(formatViolations(violations).length, 21);
  t.match(formatViolations(violations).at(-1), /and 10 more/);
  t.same(findMissingSymptoms(violations, [/^I2 number 29$/, /^I1 /]), ['/^I1 /']);
});

t.test('a seed repeats the random choices', async (t) => {
  const draw = (seed: number): number[] => {
    const random = createRandom(seed);
    return Array.from({ length: 1_000 }, () => random());
  };
  t.same(draw(7), draw(7));
  t.notSame(draw(7), draw(8));
  t.ok(draw(7).every((value) => value >= 0 && value < 1));
  const mean = draw(7).reduce((sum, value) => sum + value, 0) / 1_000;
  t.ok(mean > 0.45 && mean < 0.55, `evenly spread: ${mean}`);
  t.equal(chooseSeed('42'), 42);
  t.not(chooseSeed(''), chooseSeed(''));
  t.throws(() => pick(createRandom(1), []));
});
