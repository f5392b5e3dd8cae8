import { SETTLED_MS } from './trace.js';

/** @import { Trace } from './trace.js' */

/** The paper's speed. Faster: a minute does not fit on a phone; slower: a swing is a needle, not a wave. */
const PIXELS_PER_SECOND = 6;
/** Distance of the points that the line is drawn through; more would show corners in the swings. */
const SAMPLE_PIXELS = 0.5;
/** Redraw while the pen swings: smooth enough, and half the work of every frame. */
const SWINGING_INTERVAL_MS = 33;
/** Redraw at rest: the paper moves one pixel in this time. */
const RESTING_INTERVAL_MS = 1000 / PIXELS_PER_SECOND;
/** Redraw for readers who asked for less motion: the paper moves in rare steps. */
const REDUCED_INTERVAL_MS = 10_000;
/** Free room right of the pen, in pixels. */
const PEN_MARGIN = 22;
/** Where the line rests, as part of the height: above the middle, as it swings mostly below. */
const REST_SHARE = 0.4;
/** Distance of the lines across the paper, and of those that bear a time. */
const LINE_EVERY_MS = 5_000;
const TIME_EVERY_MS = 30_000;
/** Distance of the lines along the paper, in pixels. */
const LINE_EVERY_PIXELS = 14;
/** The holes by which a recorder pulls its paper: along both edges, one per line. */
const HOLE_RADIUS = 2.5;
const EDGE = 16;

/** Draws the recorder's strip: the last minutes, with the pen at "now" on the right. */
export class TraceView {
  #canvas;
  #context;
  #trace;
  #locale;
  #isAwake = false;
  #reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Trace} trace
   * @param {() => string} locale for the times printed on the paper
   */
  constructor(canvas, trace, locale) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    this.#trace = trace;
    this.#locale = locale;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
    this.#schedule();
  }

  /** Draws with the next frame, however often it is asked for until then. */
  wake() {
    if (this.#isAwake) return;
    this.#isAwake = true;
    requestAnimationFrame(() => {
      this.#isAwake = false;
      this.draw();
    });
  }

  /** Draws now. It also happens by itself, again and again, while the page is visible. */
  draw() {
    const context = this.#context;
    if (context === null || this.#canvas.clientWidth === 0) return;
    const nowMs = Date.now();
    const { width, height } = this.#fit(context);
    const style = getComputedStyle(this.#canvas);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const penX = width - PEN_MARGIN;
    const restY = Math.round(height * REST_SHARE);
    const reach = height - restY - EDGE - 8;
    context.clearRect(0, 0, width, height);
    this.#drawPaper(context, { penX, width, height, nowMs, color });
    for (const stretch of this.#trace.stretches(nowMs - (penX / PIXELS_PER_SECOND) * 1000, nowMs)) {
      const startX = Math.max(0, penX - ((nowMs - stretch.fromMs) / 1000) * PIXELS_PER_SECOND);
      const endX = penX - ((nowMs - stretch.toMs) / 1000) * PIXELS_PER_SECOND;
      context.beginPath();
      context.setLineDash(stretch.isLive ? [] : [2, 6]);
      context.lineWidth = stretch.isLive ? 2 : 1.5;
      context.strokeStyle = color(stretch.isLive ? '--pen' : '--muted');
      context.lineJoin = 'round';
      const penY = (/** @type {number} */ atMs) => restY + (stretch.isLive ? this.#trace.deflection(atMs) * reach : 0);
      for (let x = startX; x < endX; x += SAMPLE_PIXELS) {
        context.lineTo(x, penY(nowMs - ((penX - x) / PIXELS_PER_SECOND) * 1000));
      }
      context.lineTo(endX, penY(stretch.toMs));
      context.stroke();
    }
    this.#drawPen(context, penX, restY + this.#trace.deflection(nowMs) * reach, color);
  }

  /** @param {CanvasRenderingContext2D} context */
  #fit(context) {
    const ratio = Math.min(3, devicePixelRatio || 1);
    const width = this.#canvas.clientWidth;
    const height = this.#canvas.clientHeight;
    if (this.#canvas.width !== Math.round(width * ratio) || this.#canvas.height !== Math.round(height * ratio)) {
      this.#canvas.width = Math.round(width * ratio);
      this.#canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return { width, height };
  }

  /**
   * The paper moves with the time: lines, holes and printed times are where they were when the pen passed them.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {{ penX: number, width: number, height: number, nowMs: number, color: (name: string) => string }} options
   */
  #drawPaper(context, { penX, width, height, nowMs, color }) {
    context.setLineDash([]);
    context.lineWidth = 1;
    context.strokeStyle = color('--grid');
    context.beginPath();
    for (let y = EDGE + 0.5; y <= height - EDGE; y += LINE_EVERY_PIXELS) {
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
    const printed = new Intl.DateTimeFormat(this.#locale(), { timeStyle: 'medium' });
    context.font = `11px ${color('--figures')}`;
    context.textAlign = 'left';
    const lastMs = nowMs + (PEN_MARGIN / PIXELS_PER_SECOND) * 1000;
    const firstMs = nowMs - ((penX + 80) / PIXELS_PER_SECOND) * 1000;
    for (let atMs = Math.ceil(firstMs / LINE_EVERY_MS) * LINE_EVERY_MS; atMs <= lastMs; atMs += LINE_EVERY_MS) {
      const x = penX - ((nowMs - atMs) / 1000) * PIXELS_PER_SECOND;
      const isTimed = atMs % TIME_EVERY_MS === 0;
      context.strokeStyle = color(isTimed ? '--rule' : '--grid');
      context.beginPath();
      context.moveTo(x, EDGE);
      context.lineTo(x, height - EDGE);
      context.stroke();
      context.fillStyle = color('--rule');
      for (const y of [EDGE / 2, height - EDGE / 2]) {
        context.beginPath();
        context.arc(x + (LINE_EVERY_MS / 2000) * PIXELS_PER_SECOND, y, HOLE_RADIUS, 0, 2 * Math.PI);
        context.fill();
      }
      if (!isTimed) continue;
      context.fillStyle = color('--muted');
      context.fillText(printed.format(atMs), x + 5, height - EDGE - 5);
    }
  }

  /**
   * A full pen on the paper when the line is live, a lifted one (a ring) when it is not.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {number} x
   * @param {number} y
   * @param {(name: string) => string} color
   */
  #drawPen(context, x, y, color) {
    const isLive = this.#trace.isLive();
    context.beginPath();
    context.setLineDash([]);
    context.arc(x, y, 5, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.fillStyle = color(isLive ? '--pen' : '--sheet');
    context.strokeStyle = color(isLive ? '--pen' : '--muted');
    context.fill();
    context.stroke();
  }

  #schedule() {
    // requestAnimationFrame stands still in a hidden page, so nothing is drawn that nobody sees.
    setTimeout(() => requestAnimationFrame(() => {
      this.draw();
      this.#schedule();
    }), this.#intervalMs());
  }

  #intervalMs() {
    if (this.#reducedMotion.matches) return REDUCED_INTERVAL_MS;
    const newestMs = this.#trace.marks.at(-1)?.atMs ?? 0;
    return Date.now() - newestMs < SETTLED_MS ? SWINGING_INTERVAL_MS : RESTING_INTERVAL_MS;
  }
}
