/** How far back marks matter, in milliseconds: more than the widest screen shows. */
export const TRACE_MEMORY_MS = 10 * 60_000;
/** Marks closer than this are one, of their strengths together: a storm must not cost a sum over thousands of them. */
const MERGE_MS = 150;
/** One swing of the pen, in milliseconds: with 6 pixels a second about 13 pixels, wide enough to be seen as a wave. */
const SWING_MS = 2_200;
/** The pen comes to rest by a factor e in this time. */
const DECAY_MS = 1_700;
/** After this time the rest of a swing is below a tenth of a pixel. */
export const SETTLED_MS = 9_000;

/**
 * What the recorder has heard: when the line was live, and each deflection. Pure: it knows times, not pixels.
 */
export class Trace {
  /** @type {{ atMs: number, strength: number }[]} newest last */
  marks = [];
  /** @type {{ atMs: number, isLive: boolean }[]} changes of the line, oldest first */
  #changes = [];

  /**
   * @param {number} atMs
   * @param {number} strength 1 for a notification, less for a sign of life
   */
  mark(atMs, strength) {
    const newest = this.marks.at(-1);
    if (newest !== undefined && atMs - newest.atMs < MERGE_MS) newest.strength += strength;
    else this.marks.push({ atMs, strength });
    while ((this.marks[0]?.atMs ?? atMs) < atMs - TRACE_MEMORY_MS) this.marks.shift();
  }

  /**
   * @param {number} atMs
   * @param {boolean} isLive
   */
  setLive(atMs, isLive) {
    if (this.isLive() === isLive) return;
    this.#changes.push({ atMs, isLive });
    // The state before the window shown is still needed: the last change before it stays.
    while ((this.#changes[1]?.atMs ?? atMs) < atMs - TRACE_MEMORY_MS) this.#changes.shift();
  }

  /** Takes a new sheet of paper: what the last user's line has drawn is not for the next one to see. */
  clear() {
    this.marks = [];
    this.#changes = [];
  }

  isLive() {
    return this.#changes.at(-1)?.isLive ?? false;
  }

  /**
   * Where the pen stood: 0 at rest, positive below the line; a lone notification swings to about 0.7.
   *
   * @param {number} atMs
   * @returns {number} from −1 to 1
   */
  deflection(atMs) {
    let sum = 0;
    for (let index = this.marks.length - 1; index >= 0; index -= 1) {
      const mark = this.marks[index];
      const ageMs = atMs - (mark?.atMs ?? 0);
      if (mark === undefined || ageMs > SETTLED_MS) break;
      if (ageMs < 0) continue;
      sum += mark.strength * Math.exp(-ageMs / DECAY_MS) * Math.sin((2 * Math.PI * ageMs) / SWING_MS);
    }
    return Math.tanh(sum);
  }

  /**
   * The stretches of a window of time, each live or not, without holes between them.
   *
   * @param {number} fromMs
   * @param {number} toMs
   * @returns {{ fromMs: number, toMs: number, isLive: boolean }[]}
   */
  stretches(fromMs, toMs) {
    /** @type {{ fromMs: number, toMs: number, isLive: boolean }[]} */
    const found = [];
    let startMs = fromMs;
    let isLive = false;
    for (const change of this.#changes) {
      if (change.atMs > startMs && change.atMs < toMs) {
        found.push({ fromMs: startMs, toMs: change.atMs, isLive });
        startMs = change.atMs;
      }
      if (change.atMs < toMs) isLive = change.isLive;
    }
    found.push({ fromMs: startMs, toMs, isLive });
    return found;
  }
}
