import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Headline } from '../../bench/scenario.ts';
import { renderBarChart, type Bar } from './bar-chart.ts';
import { code, renderTable, replaceSection } from './markdown.ts';

/** What of a published result of `npm run bench` is shown. */
interface Published {
  readonly scenario: string;
  readonly headlines?: readonly Headline[];
  readonly conditions: Readonly<Record<string, string | number>>;
  readonly notes: readonly string[];
}

interface Shown extends Headline {
  readonly scenario: string;
}

/** Bars of more than twice the target say no more by being longer. */
const SHARE_OF_TARGET = 0.5;

const OURS = /^infraSignal|notify-service|auth-service|relay/;

function readPublished(directory: string): Published[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.json')).sort();
  return names.map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Published);
}

/** Three digits that matter: 0.873, 5.27, 48,200. */
function formatFigure(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

const withUnit = (value: number, unit: Headline['unit']): string =>
  unit === 'ratio' ? formatFigure(value) : `${formatFigure(value)} ${unit}`;

const limitOf = ({ target, unit, better }: Headline): string => `${better === 'higher' ? '≥' : '≤'} ${withUnit(target, unit)}`;

const isReached = ({ value, target, better }: Headline): boolean => (better === 'higher' ? value >= target : value <= target);

function listShown(published: readonly Published[]): Shown[] {
  const shown = published.flatMap(({ scenario, headlines = [] }) => headlines.map((each) => ({ ...each, scenario })));
  return shown.sort((one, other) => one.row - other.row);
}

function renderFigures(shown: readonly Shown[]): string {
  const rows = shown.map((headline) => [
    String(headline.row),
    headline.figure,
    limitOf(headline),
    `**${withUnit(headline.value, headline.unit)}**`,
    isReached(headline) ? 'yes' : '**no**',
    code(headline.scenario),
  ]);
  return renderTable(['', 'Figure', 'To reach', 'Came out at', 'Reached', 'Scenario'], rows);
}

function renderConditions(published: readonly Published[]): string {
  const rows = published.map(({ scenario, conditions, notes }) => [
    code(`npm run bench -- ${scenario}`),
    String(conditions.date ?? '').slice(0, 16).replace('T', ' '),
    code(String(conditions.commit ?? '')),
    `${conditions.cores} × ${conditions.cpu}`,
    `${conditions.load_average_before} → ${conditions.load_average_after}`,
    notes.find((note) => /OTHER PROGRAMS|BOTTLENECK/.test(note)) ?? '–',
  ]);
  return renderTable(['Command', 'When (UTC)', 'Commit', 'Machine', 'Load before → after', 'Warnings of the run'], rows);
}

function drawTargets(shown: readonly Shown[]): string {
  const bars = shown.map((headline): Bar => {
    const { row, figure, value, target, better } = headline;
    const reached = better === 'higher' ? value / target : target / value;
    return {
      label: `${row}. ${figure}`,
      share: Math.min(1, reached * SHARE_OF_TARGET),
      figure: `${withUnit(value, headline.unit)} (${limitOf(headline)})`,
      isOurs: isReached(headline),
    };
  });
  const mark = { share: SHARE_OF_TARGET, label: 'target' };
  return renderBarChart({ title: 'Each figure over its target (blue: reached)', groups: [{ title: '', bars }], mark });
}

function drawSides(shown: readonly Shown[]): string {
  const drawn = new Set<string>();
  const groups = shown.flatMap(({ row, figure, sides = {} }) => {
    // One measurement may answer to two targets.
    const key = JSON.stringify(sides);
    if (drawn.has(key)) return [];
    drawn.add(key);
    const entries = Object.entries(sides);
    const max = Math.max(...entries.map(([, value]) => value));
    if (entries.length < 2 || !(max > 0)) return [];
    const bars = entries.map(([label, value]): Bar => {
      return { label, share: value / max, figure: formatFigure(value), isOurs: OURS.test(label) };
    });
    return [{ title: `${row}. ${figure}`, bars }];
  });
  return renderBarChart({ title: 'Side by side, from the same run each (blue: infraSignal)', groups });
}

/** docs/performance.md and its charts, from what `npm run bench -- … --publish` has put into docs/performance/. */
export function renderPerformance(directory: string, text: string): ReadonlyMap<string, string> {
  const published = readPublished(directory);
  const shown = listShown(published);
  const withFigures = replaceSection(text, 'figures', renderFigures(shown));
  return new Map([
    ['performance.md', replaceSection(withFigures, 'conditions', renderConditions(published))],
    ['performance/targets.svg', drawTargets(shown)],
    ['performance/sides.svg', drawSides(shown)],
  ]);
}
