/** Bar charts as SVG, of nothing but text and rectangles: readable on any page, in light and in dark. */

export interface Bar {
  readonly label: string;
  /** How long the bar is, from 0 to 1. */
  readonly share: number;
  /** What stands behind it. */
  readonly figure: string;
  readonly isOurs: boolean;
}

export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

export interface BarChart {
  readonly title: string;
  readonly groups: readonly BarGroup[];
  /** A line across all bars at this share, with its name. */
  readonly mark?: { readonly share: number; readonly label: string };
}

/** Pixels. */
const WIDTH = 1_220;
const LABEL_WIDTH = 660;
const FIGURE_WIDTH = 160;
const BAR_HEIGHT = 16;
const ROW_HEIGHT = 22;
const TITLE_HEIGHT = 26;
const HEAD_HEIGHT = 52;

const OURS = '#1f6feb';
const THEIRS = '#9aa4b2';
const TEXT = '#1f2328';

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function write(x: number, y: number, text: string, attributes = ''): string {
  return `<text x="${x}" y="${y}"${attributes}>${escape(text)}</text>`;
}

function drawBar({ label, share, figure, isOurs }: Bar, y: number): string[] {
  const width = Math.max(1, Math.round(share * (WIDTH - LABEL_WIDTH - FIGURE_WIDTH)));
  return [
    write(LABEL_WIDTH - 10, y + 13, label, ' text-anchor="end"'),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" fill="${isOurs ? OURS : THEIRS}"/>`,
    write(LABEL_WIDTH + width + 8, y + 13, figure, ' paint-order="stroke" stroke="#ffffff" stroke-width="4"'),
  ];
}

/** Draws the groups one below the other. The same input gives the same text, byte for byte. */
export function renderBarChart({ title, groups, mark }: BarChart): string {
  const lines: string[] = [];
  const marks: string[] = [];
  let y = HEAD_HEIGHT;
  for (const group of groups) {
    if (group.title !== '') {
      lines.push(write(16, y + 14, group.title, ' font-weight="600"'));
      y += TITLE_HEIGHT;
    }
    for (const bar of group.bars) {
      lines.push(...drawBar(bar, y));
      y += ROW_HEIGHT;
    }
    if (group.title !== '') y += 12;
  }
  if (mark !== undefined) {
    const x = LABEL_WIDTH + Math.round(mark.share * (WIDTH - LABEL_WIDTH - FIGURE_WIDTH));
    marks.push(`<line x1="${x}" y1="${HEAD_HEIGHT - 4}" x2="${x}" y2="${y}" stroke="${TEXT}" stroke-dasharray="4 3"/>`);
    marks.push(write(x, HEAD_HEIGHT - 10, mark.label, ' text-anchor="middle"'));
  }
  const height = y + 12;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
      `font-family="system-ui, sans-serif" font-size="13" fill="${TEXT}" role="img" aria-label="${escape(title)}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    write(16, 24, title, ' font-size="16" font-weight="600"'),
    ...marks,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}
