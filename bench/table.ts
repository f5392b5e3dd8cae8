import { summarise } from './statistics.ts';

/** One cell. A number is written with the column's digits; null and NaN mean that there is no figure. */
export type Cell = string | number | null;

export interface Column {
  readonly name: string;
  /** Digits after the point of the column's numbers; 0 when absent. */
  readonly digits?: number;
}

/** What is printed as a Markdown table and written to JSON as one object per row. */
export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Columns of texts and whole numbers. */
export function toColumns(...names: readonly string[]): Column[] {
  return names.map((name) => ({ name }));
}

function formatCell(cell: Cell | undefined, digits = 0): string {
  if (typeof cell === 'string') return cell;
  return typeof cell === 'number' && Number.isFinite(cell) ? cell.toFixed(digits) : '–';
}

/** Markdown whose columns also line up in a terminal: numbers to the right, texts to the left. */
export function formatTable({ title, columns, rows }: Table): string {
  const cells = rows.map((row) => columns.map(({ digits }, at) => formatCell(row[at], digits)));
  const isText = columns.map((_, at) => rows.some((row) => typeof row[at] === 'string'));
  const widths = columns.map(({ name }, at) => Math.max(name.length, ...cells.map((row) => row[at]?.length ?? 0)));
  const formatRow = (texts: readonly string[]): string => {
    const padded = texts.map((text, at) => {
      const width = widths[at] ?? 0;
      return isText[at] ? text.padEnd(width) : text.padStart(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, at) => (isText[at] ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [title, '', formatRow(columns.map(({ name }) => name)), formatRow(rule), ...cells.map(formatRow)].join('\n');
}

/** Rows as objects named by the columns, numbers in full precision. */
export function toRecords({ columns, rows }: Table): Record<string, Cell>[] {
  return rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at] ?? null])));
}

/** Latencies by percentiles. A sample that is not finite (what was awaited never came) is left out of its row. */
export function tabulateMilliseconds(
  title: string,
  measurements: readonly (readonly [name: string, samples: readonly number[]])[],
): Table {
  return {
    title,
    columns: [
      { name: 'ms' },
      ...['min', 'p50', 'p90', 'p99', 'max'].map((name) => ({ name, digits: 2 })),
      { name: 'samples' },
    ],
    rows: measurements.map(([name, samples]) => {
      const { min, p50, p90, p99, max, count } = summarise(samples.filter(Number.isFinite));
      return [name, min, p50, p90, p99, max, count];
    }),
  };
}
