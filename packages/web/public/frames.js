/**
 * What travels on the socket, in the protocol `infrasignal.v1`: notifications have a dot in their type
 * ("user.login"), control frames have none ("ping").
 *
 * @typedef {object} Notification
 * @property {string} type
 * @property {string} [status]
 * @property {number | null} [user_id] null: for everybody
 * @property {string | null} [phone_number]
 * @property {string} [message] a sentence of the server, in French
 * @property {Record<string, string>} [messages] what a service says, by language
 * @property {Record<string, unknown>} [data] of types that this page does not know
 * @property {string} [id]
 * @property {number} [seq] gapless counter of the user's own notifications
 * @property {number} [broadcast_seq] gapless counter of the notifications for everybody
 * @property {string} [time] ISO 8601
 * @property {string} [cursor] where to resume after this notification; opaque
 *
 * @typedef {object} ConnectedFrame
 * @property {'connected'} type
 * @property {number | null} user_id
 * @property {string | null} session_id
 * @property {number | null} seq null for accounts that hear everybody's notifications, which have no single counter
 * @property {string} cursor where this socket stands; what was missed follows
 * @property {boolean} recovered false: what was missed could not be sent again
 * @property {string} [reason] why not: "evicted", "limit", "unknown_cursor"
 * @property {number} ping_ms the server pings at least this often
 * @property {string | null} [expires_at] ISO 8601, end of the access token
 *
 * @typedef {{ type: string } & Record<string, unknown>} ControlFrame
 *
 * @typedef {{ kind: 'notification', frame: Notification }
 *   | { kind: 'connected', frame: ConnectedFrame }
 *   | { kind: 'control', frame: ControlFrame }
 *   | { kind: 'unreadable' }} ReadFrame
 */

/** The protocol's name on the wire. */
export const PROTOCOL = 'infrasignal.v1';
/** Used when `connected` names no interval; the server's own default. */
export const PING_DEFAULT_MS = 25_000;
/** A ping may be this late. Shorter: a slow network looks dead; longer: a dead server stays "live" on screen. */
export const PING_GRACE_MS = 10_000;

/** Close code of a socket whose access token has run out. */
const TOKEN_EXPIRED = 4401;

/**
 * Reads one message of the socket. Anything that is not a JSON object with a type is `unreadable`, never an error:
 * one bad frame must not end a connection that works.
 *
 * @param {unknown} message
 * @returns {ReadFrame}
 */
export function readFrame(message) {
  const frame = parseObject(message);
  if (frame === null || typeof frame['type'] !== 'string' || frame['type'] === '') return { kind: 'unreadable' };
  if (frame['type'].includes('.')) return { kind: 'notification', frame: /** @type {Notification} */ (frame) };
  if (frame['type'] === 'connected') {
    return isConnected(frame) ? { kind: 'connected', frame } : { kind: 'unreadable' };
  }
  return { kind: 'control', frame: /** @type {ControlFrame} */ (frame) };
}

/**
 * @param {unknown} message
 * @returns {Record<string, unknown> | null}
 */
function parseObject(message) {
  if (typeof message !== 'string') return null;
  try {
    const value = JSON.parse(message);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * @param {any} frame
 * @returns {frame is ConnectedFrame}
 */
function isConnected(frame) {
  return typeof frame.cursor === 'string' && (typeof frame.seq === 'number' || frame.seq === null);
}

/**
 * Whether notifications may be missing between what the page has seen and where its new socket stands. The server says
 * so when it could not prove the contrary. The page knows more in one case: it asked by a number of its own, which has no
 * holes, and the socket stands exactly there. That is how it looks right after a registration, when the account's first
 * notification has not reached the log yet. A cursor of the server speaks of notifications for everybody too.
 *
 * @param {ConnectedFrame} frame
 * @param {string | null} cursor where the page asked to resume
 * @param {number} seq the newest `seq` that the page has seen, 0 for none
 * @returns {boolean}
 */
export function mayHaveMissed(frame, cursor, seq) {
  return cursor !== null && !frame.recovered && (frame.seq !== seq || !/^\d+$/.test(cursor));
}

/**
 * What a closed connection asks for. Codes 4000 to 4499 (and all of the protocol itself, such as 1006) heal by
 * connecting again; 4500 to 4999 are a refusal that trying again would not change.
 *
 * @param {number} code close code (RFC 6455 section 7.4)
 * @returns {'reconnect' | 'refresh' | 'stop'} `refresh`: get a new access token first, then connect again
 */
export function afterClose(code) {
  if (code === TOKEN_EXPIRED) return 'refresh';
  if (code >= 4500 && code <= 4999) return 'stop';
  return 'reconnect';
}

/**
 * The address to connect to. The access token is never part of it: addresses end up in logs and histories.
 *
 * @param {string} base `ws:` or `wss:` address without query
 * @param {string | null} cursor where to resume, or null to hear what comes from now on
 * @returns {string}
 */
export function socketAddress(base, cursor) {
  return cursor === null ? base : `${base}?after=${encodeURIComponent(cursor)}`;
}
