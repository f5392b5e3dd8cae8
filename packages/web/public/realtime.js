import { ApiError } from './api.js';
import { createBackoff } from './backoff.js';
import {
  PING_DEFAULT_MS, PING_GRACE_MS, PROTOCOL, afterClose, mayHaveMissed, readFrame, socketAddress,
} from './frames.js';
import { SignedOutError } from './session.js';

/** @import { ConnectedFrame, ControlFrame, Notification } from './frames.js' */
/** @import { Feed } from './feed.js' */

/**
 * @typedef {'lost' | 'unreachable' | 'restart' | 'busy' | 'device'} LossReason
 *
 * What the user is told about the connection. `offline` waits for `retryAtMs`; `refused` waits for the user.
 *
 * @typedef {{ name: 'idle' | 'connecting' | 'resuming' | 'live' }
 *   | { name: 'offline', retryAtMs: number, reason: LossReason }
 *   | { name: 'refused', code: number, reason: string }} ConnectionState
 */

/** From asking for a socket to `connected`. Shorter: a slow phone network never gets in; longer: a dead one hangs. */
const CONNECT_TIMEOUT_MS = 15_000;
/**
 * A connection that held this long was a good one: the next loss starts with the shortest delay. Without it a server
 * that accepts and closes at once would be called without pause.
 */
const STABLE_AFTER_MS = 5_000;
/**
 * A refused handshake asks for a new token at most this often. Without the pause every page would write to the session
 * store at each try while only the socket's side is down; a longer one would hide an ended session for longer.
 */
const RENEW_PAUSE_MS = 30_000;
/** Close code of a server that is being restarted, beside those of the protocol itself. */
const GOING_AWAY = 4000;
/** Longest window of `reconnect` that is obeyed; a larger one would leave the page on a server that is going away. */
const RECONNECT_WINDOW_MAX_MS = 60_000;

/**
 * Keeps one socket of the protocol `infrasignal.v1` open, resuming where it was after each loss.
 *
 * Ordering: frames go to the feed in the order they arrive, on one socket at a time; a socket that was given up is
 * never listened to again. Life cycle: `start` → (states) → `stop`; `start` may follow again.
 *
 * Events: `state` (detail: ConnectionState), `notification` (detail: its entry in the feed), `gap` (its entry), `heard`
 * (any frame: the server is alive), `revoked` (this very session was ended somewhere).
 */
export class RealtimeConnection extends EventTarget {
  /** @type {ConnectionState} */
  state = { name: 'idle' };
  #address;
  #getAccess;
  /** @type {Feed | null} */
  #feed = null;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Counts attempts, so that what an earlier one still had under way is known to be stale. */
  #attempt = 0;
  #backoff = createBackoff();
  #liveSinceMs = 0;
  #pingMs = PING_DEFAULT_MS;
  #deadlineMs = 0;
  /** The token of the present socket, or of the last one. */
  #access = '';
  #renewFirst = false;
  #renewedAtMs = 0;
  /** The last `error` frame of this socket: it tells more than a close reason does. @type {ControlFrame | null} */
  #lastError = null;
  #sessionId = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watchdog;

  /**
   * @param {string} address `ws:` or `wss:` address without query
   * @param {(options: { refused?: string }) => Promise<string>} getAccess gives an access token, and not the one that
   *   was refused
   */
  constructor(address, getAccess) {
    super();
    this.#address = address;
    this.#getAccess = getAccess;
  }

  /** @param {Feed} feed where notifications go, and where to resume */
  start(feed) {
    this.stop();
    this.#feed = feed;
    this.#backoff.reset();
    this.#renewFirst = false;
    void this.#open();
  }

  stop() {
    this.#abandon();
    this.#feed = null;
    this.#setState({ name: 'idle' });
  }

  /** Tries at once where waiting has lost its reason: the network is back, or the page is looked at again. */
  tryNow() {
    if (this.state.name === 'offline') {
      this.#backoff.reset();
      void this.#open();
    } else if (this.state.name === 'live') {
      // Timers stand still while a device sleeps: the deadline may have passed long ago.
      this.#checkDeadline();
    }
  }

  /** Tries at once because the user asks for it, also after a refusal: the user may know more than the page. */
  retry() {
    if (this.state.name === 'refused') {
      this.#renewFirst = true;
      void this.#open();
    } else this.tryNow();
  }

  /** The device says that it has no network: what is open is most likely dead, and need not be waited for. */
  networkLost() {
    if (this.#feed === null || this.state.name === 'refused' || this.state.name === 'offline') return;
    this.#retryLater('device', 0);
  }

  /**
   * Finds out whether the session of the present token still lives, by exchanging the token.
   *
   * @throws {SignedOutError} when it has ended
   */
  async checkSession() {
    await this.#getAccess({ refused: this.#access });
  }

  async #open() {
    const feed = this.#feed;
    if (feed === null) return;
    this.#abandon();
    const attempt = this.#attempt;
    const cursor = feed.cursor;
    this.#setState({ name: cursor === null ? 'connecting' : 'resuming' });
    if (this.#renewFirst) this.#renewedAtMs = Date.now();
    /** @type {string} */
    let access;
    try {
      access = await this.#getAccess(this.#renewFirst ? { refused: this.#access } : {});
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof SignedOutError) this.stop();
      else this.#retryLater('unreachable', retryAfterMs(error));
      return;
    }
    if (attempt !== this.#attempt) return;
    this.#renewFirst = false;
    this.#access = access;
    this.#connect(feed, cursor);
  }

  /**
   * @param {Feed} feed
   * @param {string | null} cursor
   */
  #connect(feed, cursor) {
    const socket = new WebSocket(socketAddress(this.#address, cursor), [PROTOCOL, `bearer.${this.#access}`]);
    this.#socket = socket;
    this.#lastError = null;
    this.#expectFrameWithin(CONNECT_TIMEOUT_MS);
    let isConnected = false;
    socket.addEventListener('message', (event) => {
      if (socket !== this.#socket) return;
      const read = readFrame(event.data);
      if (isConnected) this.#expectFrameWithin(this.#pingMs + PING_GRACE_MS);
      this.dispatchEvent(new CustomEvent('heard'));
      if (read.kind === 'connected') {
        isConnected = true;
        this.#onConnected(feed, cursor, read.frame);
      } else if (read.kind === 'notification') this.#onNotification(feed, read.frame);
      else if (read.kind === 'control') this.#onControl(read.frame);
    });
    socket.addEventListener('close', (event) => {
      if (socket === this.#socket) this.#onClose(event.code, event.reason, isConnected);
    });
  }

  /**
   * @param {Feed} feed
   * @param {string | null} cursor what was asked for
   * @param {ConnectedFrame} frame
   */
  #onConnected(feed, cursor, frame) {
    if (typeof frame.ping_ms === 'number' && frame.ping_ms > 0) this.#pingMs = frame.ping_ms;
    this.#expectFrameWithin(this.#pingMs + PING_GRACE_MS);
    this.#liveSinceMs = Date.now();
    this.#sessionId = frame.session_id ?? '';
    if (mayHaveMissed(frame, cursor, feed.seq)) {
      const entry = feed.addGap(frame.reason ?? '', Date.now());
      this.dispatchEvent(new CustomEvent('gap', { detail: entry }));
    }
    // This is where the socket stands now. What was missed follows with cursors of its own, so that a connection that
    // breaks between two of them loses none.
    feed.startFrom(frame.cursor, frame.seq ?? 0);
    this.#setState({ name: 'live' });
  }

  /**
   * @param {Feed} feed
   * @param {Notification} notification
   */
  #onNotification(feed, notification) {
    const entry = feed.add(notification, Date.now());
    if (entry !== null) this.dispatchEvent(new CustomEvent('notification', { detail: entry }));
    if (notification.type !== 'session.revoked') return;
    const ended = notification.data?.['session_ids'];
    if (Array.isArray(ended) && ended.includes(this.#sessionId)) this.dispatchEvent(new CustomEvent('revoked'));
  }

  /** @param {ControlFrame} frame */
  #onControl(frame) {
    if (frame.type === 'ping') this.#send({ type: 'pong' });
    if (frame.type === 'error') this.#lastError = frame;
    if (frame.type === 'reconnect') this.#moveWithin(Number(frame['window_ms']));
  }

  /**
   * The server is going away and asks its clients to move to another at moments spread over a window.
   *
   * @param {number} windowMs
   */
  #moveWithin(windowMs) {
    const delayMs = Math.random() * Math.min(RECONNECT_WINDOW_MAX_MS, Math.max(0, windowMs || 0));
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => void this.#open(), delayMs);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} wasConnected
   */
  #onClose(code, reason, wasConnected) {
    const next = afterClose(code);
    if (next === 'stop') {
      const errorCode = this.#lastError?.['code'];
      this.#abandon();
      this.#setState({ name: 'refused', code, reason: typeof errorCode === 'string' ? errorCode : reason });
      return;
    }
    // A refused handshake looks like any broken connection to a page, but one cause is a session that has ended:
    // renewing the token finds out.
    const mayRenew = Date.now() - this.#renewedAtMs >= RENEW_PAUSE_MS;
    if (next === 'refresh' || (!wasConnected && mayRenew)) this.#renewFirst = true;
    const wasStable = wasConnected && Date.now() - this.#liveSinceMs >= STABLE_AFTER_MS;
    if (wasStable) this.#backoff.reset();
    // A token that ran out is everyday life and no trouble of the server: there is nothing to wait for.
    if (next === 'refresh' && wasStable) void this.#open();
    else this.#retryLater(lossReason(code, wasConnected), 0);
  }

  /**
   * @param {LossReason} reason
   * @param {number} atLeastMs
   */
  #retryLater(reason, atLeastMs) {
    this.#abandon();
    const delayMs = Math.max(atLeastMs, this.#backoff.next());
    this.#retryTimer = setTimeout(() => void this.#open(), delayMs);
    const cause = navigator.onLine ? reason : 'device';
    this.#setState({ name: 'offline', retryAtMs: Date.now() + delayMs, reason: cause });
  }

  /** @param {number} delayMs */
  #expectFrameWithin(delayMs) {
    clearTimeout(this.#watchdog);
    this.#deadlineMs = Date.now() + delayMs;
    this.#watchdog = setTimeout(() => this.#checkDeadline(), delayMs);
  }

  #checkDeadline() {
    if (this.#socket === null || Date.now() < this.#deadlineMs) return;
    // One silence is no sign of an overloaded server: the first new try is immediate when the connection was good.
    const wasLive = this.state.name === 'live';
    if (wasLive) {
      this.#backoff.reset();
      void this.#open();
    } else this.#retryLater('unreachable', 0);
  }

  /** Gives the present socket, attempt and timers up; nothing that they still bring is listened to. */
  #abandon() {
    this.#attempt += 1;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  /** @param {object} frame */
  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }
}

/**
 * @param {number} code
 * @param {boolean} wasConnected
 * @returns {LossReason}
 */
function lossReason(code, wasConnected) {
  if (code === GOING_AWAY || code === 1001 || code === 1012) return 'restart';
  if (code === 1013) return 'busy';
  return wasConnected ? 'lost' : 'unreachable';
}

/**
 * @param {unknown} error
 * @returns {number} milliseconds that the server asked to wait
 */
function retryAfterMs(error) {
  return error instanceof ApiError ? (error.problem.retryAfterSeconds ?? 0) * 1000 : 0;
}
