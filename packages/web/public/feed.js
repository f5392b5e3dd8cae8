/** @import { Notification } from './frames.js' */

/** Most entries kept and shown. More: a page left open for days grows heavy; fewer: a busy hour scrolls away. */
export const FEED_LIMIT = 200;
/**
 * Most identities of notifications remembered against repeats. It must be well above what a server sends again after a
 * resume; the cost is some tens of bytes each.
 */
export const SEEN_LIMIT = 5_000;

/**
 * One line of the list: a notification, or the honest mark that some may be missing at this place.
 *
 * @typedef {{ key: string, kind: 'notification', atMs: number, notification: Notification }} NotificationEntry
 * @typedef {{ key: string, kind: 'gap', atMs: number, reason: string }} GapEntry
 * @typedef {NotificationEntry | GapEntry} FeedEntry
 *
 * @typedef {object} SavedFeed
 * @property {number} userId
 * @property {string | null} cursor
 * @property {number} seq
 * @property {FeedEntry[]} entries
 */

/**
 * What one user has been told: the list (newest first, bounded), what has been seen, and where to resume. Cursor and
 * list change together, so that saving and restoring them together can neither lose a notification nor show it twice.
 */
export class Feed {
  /** @type {FeedEntry[]} */
  entries = [];
  /** Where to resume, or null to hear only what comes from now on. @type {string | null} */
  cursor = null;
  /** Newest `seq` of the user's own notifications that has been seen. */
  seq = 0;
  /** @type {Set<string>} */
  #seen = new Set();
  #made = 0;

  /**
   * @param {number} userId 0 for the public feed, which belongs to nobody
   * @param {{ limit?: number, seenLimit?: number }} [limits]
   */
  constructor(userId, { limit = FEED_LIMIT, seenLimit = SEEN_LIMIT } = {}) {
    this.userId = userId;
    this.limit = limit;
    this.seenLimit = seenLimit;
  }

  /**
   * Takes a notification in, once: a second one with the same user and `seq`, or the same number for everybody, changes
   * nothing. One without a number (the plain public feed) has no identity and is always new.
   *
   * @param {Notification} notification
   * @param {number} nowMs time of arrival, used when the notification tells none
   * @returns {NotificationEntry | null} the new line, or null for a repeat
   */
  add(notification, nowMs) {
    const key = identityOf(notification);
    if (key !== null && this.#seen.has(key)) return null;
    if (key !== null) this.#remember(key);
    if (typeof notification.cursor === 'string') this.cursor = notification.cursor;
    if (notification.user_id === this.userId && typeof notification.seq === 'number') {
      this.seq = Math.max(this.seq, notification.seq);
    }
    const toldMs = Date.parse(notification.time ?? '');
    const atMs = Number.isNaN(toldMs) ? nowMs : toldMs;
    /** @type {NotificationEntry} */
    const entry = { key: key ?? this.#makeKey(nowMs), kind: 'notification', atMs, notification };
    this.#put(entry);
    return entry;
  }

  /**
   * Marks that notifications may be missing before the newest ones. Everything starts anew from the cursor given:
   * `seq` numbers that were seen before say nothing any more about what comes.
   *
   * @param {string} reason
   * @param {number} nowMs
   * @returns {GapEntry}
   */
  addGap(reason, nowMs) {
    this.#seen.clear();
    this.seq = 0;
    /** @type {GapEntry} */
    const entry = { key: this.#makeKey(nowMs), kind: 'gap', atMs: nowMs, reason };
    this.#put(entry);
    return entry;
  }

  /**
   * Moves the resume position to the one a fresh connection starts from.
   *
   * @param {string} cursor
   * @param {number} seq
   */
  startFrom(cursor, seq) {
    this.cursor = cursor;
    this.seq = seq;
  }

  /** Empties the list but keeps the position, for a session that ended and may be taken up again. */
  forgetEntries() {
    this.entries = [];
  }

  /** @returns {SavedFeed} */
  save() {
    return { userId: this.userId, cursor: this.cursor, seq: this.seq, entries: this.entries };
  }

  /**
   * The feed that was saved for this user; anything that does not fit gives an empty one.
   *
   * @param {number} userId
   * @param {unknown} saved
   * @returns {Feed}
   */
  static restore(userId, saved) {
    const feed = new Feed(userId);
    if (!isSavedFeed(saved) || saved.userId !== userId) return feed;
    feed.cursor = saved.cursor;
    feed.seq = saved.seq;
    feed.entries = saved.entries.slice(0, feed.limit);
    for (const entry of feed.entries.toReversed()) {
      const key = entry.kind === 'notification' ? identityOf(entry.notification) : null;
      if (key !== null) feed.#remember(key);
      // What was seen before a gap says nothing about what comes after it (see addGap).
      if (entry.kind === 'gap') feed.#seen.clear();
    }
    return feed;
  }

  /** @param {FeedEntry} entry */
  #put(entry) {
    this.entries.unshift(entry);
    if (this.entries.length > this.limit) this.entries.length = this.limit;
  }

  /** @param {string} key */
  #remember(key) {
    this.#seen.add(key);
    if (this.#seen.size <= this.seenLimit) return;
    // A Set lists its members in the order they came: the first is the oldest.
    for (const oldest of this.#seen) {
      this.#seen.delete(oldest);
      break;
    }
  }

  /** @param {number} nowMs */
  #makeKey(nowMs) {
    this.#made += 1;
    return `local:${nowMs}:${this.#made}`;
  }
}

/**
 * @param {Notification} notification
 * @returns {string | null}
 */
function identityOf(notification) {
  const { broadcast_seq: broadcastSeq, seq, user_id: userId } = notification;
  if (typeof broadcastSeq === 'number') return `everybody:${broadcastSeq}`;
  return typeof userId === 'number' && typeof seq === 'number' ? `${userId}:${seq}` : null;
}

/**
 * @param {any} saved
 * @returns {saved is SavedFeed}
 */
function isSavedFeed(saved) {
  return typeof saved === 'object' && saved !== null && typeof saved.userId === 'number'
    && (saved.cursor === null || typeof saved.cursor === 'string')
    && typeof saved.seq === 'number' && Array.isArray(saved.entries) && saved.entries.every(isEntry);
}

/** @param {any} entry */
function isEntry(entry) {
  if (typeof entry !== 'object' || entry === null || typeof entry.key !== 'string') return false;
  if (typeof entry.atMs !== 'number') return false;
  if (entry.kind === 'gap') return typeof entry.reason === 'string';
  return entry.kind === 'notification' && typeof entry.notification?.type === 'string';
}
