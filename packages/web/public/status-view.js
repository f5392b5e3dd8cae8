import { byId, find, setText } from './dom.js';
import { secondsLeft } from './times.js';

/** @import { ConnectionState } from './realtime.js' */
/** @import { Translator } from './i18n.js' */

/** How often the countdown is looked at; a quarter of a second keeps each number on screen for its second. */
const TICK_MS = 250;

/** @typedef {ConnectionState | { name: 'public' }} ShownState */

/**
 * The connection's state, always in view: a lamp, its name, what it means, and how long until the next try. Screen
 * readers are told of changes that matter, not of every try.
 */
export class StatusView {
  /** @type {ShownState} */
  #state = { name: 'idle' };
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;
  /** The last thing that was said aloud. */
  #said = '';
  #root = byId('status');
  #name = byId('status-name');
  #about = byId('status-about');
  #countdown = byId('countdown');
  #retry = byId('retry', HTMLButtonElement);
  #region = byId('connection-announcements');
  #translator;

  /**
   * @param {Translator} translator
   * @param {() => void} onRetry
   */
  constructor(translator, onRetry) {
    this.#translator = translator;
    this.#retry.addEventListener('click', () => {
      // The button is about to go: the focus must not fall out of the page with it.
      byId('feed-title').focus({ preventScroll: true });
      onRetry();
    });
  }

  /** @param {ShownState} state */
  show(state) {
    this.#state = state;
    clearInterval(this.#ticker);
    if (state.name === 'offline') this.#ticker = setInterval(() => this.#renderCountdown(), TICK_MS);
    this.render();
    this.#say();
  }

  /** Shows everything again in the present language. */
  render() {
    const { name } = this.#state;
    this.#root.dataset['state'] = name;
    setText(this.#name, this.#translator.text(`connection.${name}`));
    setText(this.#about, this.#explain());
    this.#retry.hidden = name !== 'offline' && name !== 'refused';
    find(this.#root, '.status-next').classList.toggle('is-empty', this.#retry.hidden);
    this.#renderCountdown();
  }

  #explain() {
    const state = this.#state;
    if (state.name === 'offline') return this.#translator.text(`connection.offline.${state.reason}`);
    if (state.name !== 'refused') return this.#translator.text(`connection.${state.name}.about`);
    const why = state.reason === ''
      ? this.#translator.text('connection.refused.code', { code: state.code })
      : this.#translator.text('connection.refused.reason', { reason: `${state.reason} (${state.code})` });
    return `${this.#translator.text('connection.refused.about')} ${why}`;
  }

  #renderCountdown() {
    const state = this.#state;
    const left = state.name === 'offline' ? secondsLeft(state.retryAtMs, Date.now()) : 0;
    setText(this.#countdown, left > 0 ? this.#translator.plural('connection.countdown', left) : '');
  }

  /** Live, offline and refused are news; each try in between is not. */
  #say() {
    const { name } = this.#state;
    if (name !== 'live' && name !== 'offline' && name !== 'refused') return;
    if (name === this.#said) return;
    this.#said = name;
    this.#region.textContent = `${this.#translator.text(`connection.${name}`)}. ${this.#explain()}`;
  }
}
