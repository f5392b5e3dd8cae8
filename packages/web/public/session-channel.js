/** @import { Tokens } from './api.js' */

/**
 * Keeps tabs that hold the same session in step. "Duplicate tab" and "reopen closed tab" copy a tab's sessionStorage,
 * refresh token included. A refresh token is good for one use, and using it twice ends the whole session, as it would
 * look stolen. So each tab tells the others what it exchanged its token for, and a tab that wakes up with a token from
 * storage asks first whether somebody has exchanged it meanwhile.
 *
 * @typedef {{ kind: 'ask', refresh: string }
 *   | { kind: 'rotated', from: string, tokens: Tokens }
 *   | { kind: 'ended', refresh: string }} TabMessage
 */

/** Other tabs answer within a task or two. Longer delays each page load; shorter misses a busy tab. */
const ASK_TIMEOUT_MS = 120;
/** A tab that slept through more rotations than this is not helped: some hours of sleep with five-minute tokens. */
const EARLIER_LIMIT = 100;
const CHANNEL_NAME = 'infrasignal.session';

export class SessionChannel {
  #channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel(CHANNEL_NAME) : null;
  /** Tokens that this tab has exchanged, oldest first. @type {string[]} */
  #earlier = [];
  /** @type {Tokens | null} */
  #current = null;
  /** @type {(() => void) | null} */
  #answered = null;

  /**
   * @param {object} handlers
   * @param {(from: string, tokens: Tokens) => void} handlers.onRotated another tab exchanged the token `from`
   * @param {(refresh: string) => void} handlers.onEnded another tab logged out of the session of this token
   */
  constructor({ onRotated, onEnded }) {
    this.#channel?.addEventListener('message', (event) => {
      const message = /** @type {TabMessage} */ (event.data);
      if (message.kind === 'ask') this.#answer(message.refresh);
      if (message.kind === 'ended') onEnded(message.refresh);
      if (message.kind === 'rotated') {
        onRotated(message.from, message.tokens);
        this.#answered?.();
      }
    });
  }

  /**
   * Tells the other tabs that `from` was exchanged.
   *
   * @param {string} from
   * @param {Tokens} tokens
   */
  tellRotated(from, tokens) {
    this.hold(from, tokens);
    this.#channel?.postMessage({ kind: 'rotated', from, tokens });
  }

  /** @param {string} refresh */
  tellEnded(refresh) {
    this.#channel?.postMessage({ kind: 'ended', refresh });
  }

  /**
   * Notes which tokens this tab holds, to be able to answer tabs that wake up with an older one.
   *
   * @param {string | null} from the token that they replace
   * @param {Tokens} tokens
   */
  hold(from, tokens) {
    if (from !== null && from !== tokens.refresh) this.#earlier.push(from);
    if (this.#earlier.length > EARLIER_LIMIT) this.#earlier.shift();
    this.#current = tokens;
  }

  /** Forgets everything that this tab held. */
  forget() {
    this.#earlier = [];
    this.#current = null;
  }

  /**
   * Asks the other tabs whether they have exchanged this token. An answer arrives through `onRotated`; the promise
   * fulfils when it has, or when nobody answers.
   *
   * @param {string} refresh
   * @returns {Promise<void>}
   */
  async ask(refresh) {
    const channel = this.#channel;
    if (channel === null) return;
    await /** @type {Promise<void>} */ (new Promise((resolve) => {
      this.#answered = resolve;
      setTimeout(resolve, ASK_TIMEOUT_MS);
      channel.postMessage({ kind: 'ask', refresh });
    }));
    this.#answered = null;
  }

  /** @param {string} refresh */
  #answer(refresh) {
    if (this.#current === null || !this.#earlier.includes(refresh)) return;
    this.#channel?.postMessage({ kind: 'rotated', from: refresh, tokens: this.#current });
  }
}
