import type { Terminal } from './command.ts';

/** A terminal is redrawn ten times a second; a log gets a line every five seconds, so that it stays readable. */
const REDRAW_INTERVAL_MS = 100;
const LOG_INTERVAL_MS = 5_000;

/** 24 characters of bar leave room for the figures in 80 columns. */
const BAR_WIDTH = 24;

export interface Progress {
  /** What is being done, for instance `importing`. */
  readonly title: string;
  /** From 0 to 1. */
  readonly share: number;
  readonly records: number;
}

/** Shows how far a long command is: one line that is redrawn on a terminal, a line now and then in a log. */
export class ProgressLine {
  readonly #terminal: Terminal;
  #title = '';
  #startedAtMs = 0;
  #shownAtMs = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show({ title, share, records }: Progress): void {
    const nowMs = performance.now();
    if (title !== this.#title) {
      this.#title = title;
      this.#startedAtMs = nowMs;
      this.#shownAtMs = nowMs;
    }
    const { redraw } = this.#terminal;
    if (nowMs - this.#shownAtMs < (redraw === undefined ? LOG_INTERVAL_MS : REDRAW_INTERVAL_MS)) return;
    this.#shownAtMs = nowMs;
    const perSecond = Math.round((records * 1_000) / Math.max(1, nowMs - this.#startedAtMs));
    const figures = `${title} ${Math.floor(share * 100)} %, ${records} users, ${perSecond}/s`;
    if (redraw === undefined) {
      this.#terminal.error(figures);
      return;
    }
    const done = Math.round(share * BAR_WIDTH);
    redraw(`${'█'.repeat(done)}${'░'.repeat(BAR_WIDTH - done)} ${figures}`);
  }

  /** Takes the line away again. */
  end(): void {
    this.#terminal.redraw?.('');
  }
}
