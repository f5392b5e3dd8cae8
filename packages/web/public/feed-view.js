import { drawing, make, setText } from './dom.js';
import { exactTime, relativeTime } from './times.js';

/** @import { FeedEntry } from './feed.js' */
/** @import { Notification } from './frames.js' */
/** @import { Translator } from './i18n.js' */

/** Most details shown of a notification that the page does not know; the rest would bury the list. */
const DETAILS_MAX = 12;
/** Longest detail shown, in characters; more than three lines of a phone are no longer read. */
const DETAIL_LENGTH_MAX = 200;

/**
 * The rail's deflection beside each entry, as the pen of a recorder draws it: the rest line comes from above, swings
 * out and goes on. One shape per kind of event, so that kinds differ without colour.
 */
const RAIL_VIEW_BOX = '0 0 32 48';
const RAIL_SHAPES = new Map([
  ['user.registered', 'M8 0V9C8 12.500 28 11 28 16S2 19 2 23.500 20 26 20 30 8 30 8 35V48'],
  ['user.login', 'M8 0V12C8 16 26 16.500 26 21S4 25 4 28.500 8 31 8 35V48'],
  ['session.revoked', 'M8 0V13L24 20L8 27V48'],
  ['gap', 'M8 0V9M8 15V19M8 25V29M8 35V48'],
]);
const RAIL_OTHER = 'M8 0V13H22V27H8V48';

/** The list of notifications: newest first, one tab stop, arrow keys to move, exact time on hover and focus. */
export class FeedView {
  /** @type {WeakMap<Element, FeedEntry>} */
  #entries = new WeakMap();
  #list;
  #translator;
  #made = 0;

  /**
   * @param {HTMLElement} list the element with role "feed"
   * @param {Translator} translator
   */
  constructor(list, translator) {
    this.#list = list;
    this.#translator = translator;
    list.addEventListener('keydown', (event) => this.#onKey(event));
    list.addEventListener('focusin', (event) => this.#onFocus(event));
  }

  /**
   * Shows these entries instead of what was there.
   *
   * @param {readonly FeedEntry[]} entries newest first
   */
  show(entries) {
    this.#list.setAttribute('aria-label', this.#translator.text('feed.label'));
    this.#list.replaceChildren(...entries.map((entry) => this.#article(entry)));
    this.#afterChange(entries.length);
  }

  /**
   * Puts one entry on top.
   *
   * @param {FeedEntry} entry
   * @param {number} count how many entries the list may show now
   */
  prepend(entry, count) {
    const article = this.#article(entry);
    article.classList.add('is-new');
    this.#list.prepend(article);
    while (this.#list.children.length > count) this.#list.lastElementChild?.remove();
    this.#afterChange(count);
  }

  /**
   * Brings the relative times up to date.
   *
   * @param {number} nowMs
   */
  tick(nowMs) {
    for (const article of this.#list.children) {
      const entry = this.#entries.get(article);
      const relative = article.querySelector('.relative');
      if (entry !== undefined && relative !== null) setText(relative, this.#relative(entry.atMs, nowMs));
    }
  }

  /**
   * What a notification is called: in the reader's language where the type is known or a service says it, else by the
   * server's sentence.
   *
   * @param {Notification} notification
   * @returns {string}
   */
  titleOf(notification) {
    const { message, messages, type } = notification;
    const said = messages?.[this.#translator.language];
    return this.#translator.find(`notification.${type}`) ?? said ?? message ?? type;
  }

  /** @param {FeedEntry} entry */
  #article(entry) {
    this.#made += 1;
    const titleId = `entry-${this.#made}`;
    const kind = entry.kind === 'gap' ? 'gap' : entry.notification.type;
    const body = entry.kind === 'gap' ? this.#gapBody(entry.reason, titleId) : this.#body(entry.notification, titleId);
    const article = make('article', {
      class: entry.kind === 'gap' ? 'event is-gap' : 'event',
      attributes: { 'aria-labelledby': titleId, 'aria-setsize': '-1', tabindex: '-1' },
    }, [
      drawing(RAIL_VIEW_BOX, RAIL_SHAPES.get(kind) ?? RAIL_OTHER, 'rail'),
      make('div', { class: 'event-body' }, body),
      this.#time(entry.atMs),
    ]);
    this.#entries.set(article, entry);
    return article;
  }

  /**
   * @param {Notification} notification
   * @param {string} titleId
   */
  #body(notification, titleId) {
    const { broadcast_seq: broadcastSeq, seq, status, user_id: id } = notification;
    /** @type {string[]} */
    const facts = [];
    if (typeof id === 'number') facts.push(this.#translator.text('notification.user', { id }));
    if (id === null) facts.push(this.#translator.text('notification.everybody'));
    if (typeof broadcastSeq === 'number') facts.push(this.#translator.text('notification.seq', { seq: broadcastSeq }));
    if (typeof seq === 'number') facts.push(this.#translator.text('notification.seq', { seq }));
    // Success goes without saying.
    if (typeof status === 'string' && status !== 'success') {
      facts.push(this.#translator.text('notification.status', { status }));
    }
    const parts = [make('h3', { class: 'event-title', text: this.titleOf(notification), attributes: { id: titleId } })];
    const meta = make('p', { class: 'event-meta' });
    if (typeof notification.phone_number === 'string') {
      meta.append(make('span', { class: 'event-phone', text: notification.phone_number }));
    }
    for (const fact of facts) meta.append(make('span', { class: 'event-fact', text: fact }));
    if (meta.childElementCount > 0) parts.push(meta);
    const reason = this.#translator.find(`notification.${notification.type}.${notification.data?.['reason']}`);
    const details = reason === null ? detailsOf(notification.data) : make('p', { class: 'event-why', text: reason });
    if (details !== null) parts.push(details);
    return parts;
  }

  /**
   * @param {string} reason
   * @param {string} titleId
   */
  #gapBody(reason, titleId) {
    const why = this.#translator.find(`gap.${reason}`) ?? this.#translator.text('gap.unknown');
    return [
      make('h3', { class: 'event-title', text: this.#translator.text('gap.title'), attributes: { id: titleId } }),
      make('p', { class: 'event-meta', text: why }),
    ];
  }

  /** @param {number} atMs */
  #time(atMs) {
    return make('time', { class: 'event-time', attributes: { datetime: new Date(atMs).toISOString() } }, [
      make('span', { class: 'relative', text: this.#relative(atMs, Date.now()) }),
      make('span', { class: 'exact', text: exactTime(atMs, this.#translator.locale) }),
    ]);
  }

  /**
   * @param {number} atMs
   * @param {number} nowMs
   */
  #relative(atMs, nowMs) {
    return relativeTime(atMs, nowMs, this.#translator.locale, this.#translator.text('feed.now'));
  }

  /** @param {number} count */
  #afterChange(count) {
    this.#list.hidden = count === 0;
    [...this.#list.children].forEach((article, index) => article.setAttribute('aria-posinset', String(index + 1)));
    const stop = this.#list.querySelector('[tabindex="0"]');
    // The list keeps one tab stop: where the reader is, else the newest.
    if (stop === null) this.#list.firstElementChild?.setAttribute('tabindex', '0');
    else if (stop !== document.activeElement) this.#moveStop(this.#list.firstElementChild);
  }

  /** @param {Element | null} article */
  #moveStop(article) {
    this.#list.querySelector('[tabindex="0"]')?.setAttribute('tabindex', '-1');
    article?.setAttribute('tabindex', '0');
  }

  /** @param {FocusEvent} event */
  #onFocus(event) {
    const article = event.target instanceof Element ? event.target.closest('.event') : null;
    if (article !== null) this.#moveStop(article);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const present = event.target instanceof Element ? event.target.closest('.event') : null;
    if (present === null || event.ctrlKey || event.altKey || event.metaKey) return;
    /** @type {Record<string, Element | null>} */
    const targets = {
      ArrowDown: present.nextElementSibling,
      PageDown: present.nextElementSibling,
      ArrowUp: present.previousElementSibling,
      PageUp: present.previousElementSibling,
      Home: this.#list.firstElementChild,
      End: this.#list.lastElementChild,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    if (target instanceof HTMLElement) target.focus();
  }
}

/**
 * The data of a notification that the page does not know, as names and values.
 *
 * @param {unknown} data
 * @returns {HTMLElement | null}
 */
function detailsOf(data) {
  if (typeof data !== 'object' || data === null) return null;
  // Whose it is stands above already.
  const pairs = Object.entries(data).filter(([name]) => name !== 'user_id').slice(0, DETAILS_MAX);
  if (pairs.length === 0) return null;
  return make('dl', { class: 'event-details' }, pairs.map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value) ?? '';
    const short = text.length > DETAIL_LENGTH_MAX ? `${text.slice(0, DETAIL_LENGTH_MAX)}…` : text;
    return make('div', {}, [make('dt', { text: name }), make('dd', { text: short })]);
  }));
}
