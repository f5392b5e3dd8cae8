import { createBackoff } from './backoff.js';
import { readFrame } from './frames.js';

/** @import { Feed } from './feed.js' */

/** Tries in a row that may fail before the page stops: the feed is a convenience, and nobody waits for it. */
const FAILURES_MAX = 6;

/**
 * The plain feed without sign-in, which a server shows only in debug mode. Everywhere else it refuses the handshake,
 * which a page cannot tell from any other failure: so a feed that never opened is not tried again.
 *
 * Events: `state` (detail: 'idle' | 'trying' | 'open' | 'closed'), `notification` (detail: its entry), `heard`.
 */
export class PublicFeed extends EventTarget {
  /** @type {'idle' | 'trying' | 'open' | 'closed'} */
  state = 'idle';
  #address;
  /** @type {WebSocket | null} */
  #socket = null;
  #backoff = createBackoff();
  #failures = 0;
  #hasOpened = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} address `ws:` or `wss:` address */
  constructor(address) {
    super();
    this.#address = address;
  }

  /** @param {Feed} feed */
  start(feed) {
    this.stop();
    this.#failures = 0;
    this.#hasOpened = false;
    this.#backoff.reset();
    this.#open(feed);
  }

  stop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#setState('idle');
  }

  /** @param {Feed} feed */
  #open(feed) {
    this.#setState('trying');
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.addEventListener('open', () => {
      if (socket !== this.#socket) return;
      this.#hasOpened = true;
      this.#failures = 0;
      this.#setState('open');
    });
    socket.addEventListener('message', (event) => {
      if (socket !== this.#socket) return;
      this.dispatchEvent(new CustomEvent('heard'));
      const read = readFrame(event.data);
      const entry = read.kind === 'notification' ? feed.add(read.frame, Date.now()) : null;
      if (entry !== null) this.dispatchEvent(new CustomEvent('notification', { detail: entry }));
    });
    socket.addEventListener('close', () => {
      if (socket === this.#socket) this.#onClose(feed);
    });
  }

  /** @param {Feed} feed */
  #onClose(feed) {
    this.#socket = null;
    this.#failures += 1;
    const mayRetry = this.#hasOpened && this.#failures <= FAILURES_MAX;
    this.#setState(mayRetry ? 'trying' : 'closed');
    if (mayRetry) this.#timer = setTimeout(() => this.#open(feed), this.#backoff.next());
  }

  /** @param {'idle' | 'trying' | 'open' | 'closed'} state */
  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }
}
