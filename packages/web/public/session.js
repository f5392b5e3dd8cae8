import { ApiError, logout, refreshTokens } from './api.js';
import { SessionChannel } from './session-channel.js';

/** @import { Tokens } from './api.js' */
/** @import { Store } from './storage.js' */

/**
 * @typedef {{ userId: number, phoneNumber: string }} User
 * @typedef {'signed-out' | 'expired' | 'elsewhere'} EndReason
 */

const STORE_KEY = 'infrasignal.session';
const LOCK_NAME = 'infrasignal.refresh';
/** Life of an access token when the answer does not tell it: the API's default. */
const ACCESS_TTL_DEFAULT_SECONDS = 300;
/** A new token is fetched this long before the old one ends, so that a slow network and a slow clock fit in. */
const RENEW_LEAD_MS = 30_000;
/** A token that lives very shortly is renewed after this part of its life instead. */
const RENEW_LEAD_SHARE = 0.2;
/** After a failed renewal the next try is this far away, at least; the old token is usually good for longer. */
const RENEW_RETRY_MS = 5_000;
/** Answers to a refresh that no repetition changes: the token is used, revoked, expired (401) or no token (400). */
const SESSION_OVER = [400, 401];
/** Longest delay that setTimeout takes (2^31 − 1 ms); anything above fires at once. */
const TIMER_MAX_MS = 2_147_483_647;

/** The session has ended: nobody is signed in any more. */
export class SignedOutError extends Error {
  constructor() {
    super('signed out');
    this.name = 'SignedOutError';
  }
}

/**
 * Who is signed in, with tokens that are always fresh. The access token lives in memory only. The refresh token is
 * kept in sessionStorage: a reload must not sign the user out, and sessionStorage is the narrowest memory that
 * survives one: it belongs to this tab, ends with it, and is never sent by the browser itself (so no other site can
 * make use of it, as it could of a cookie). A script in this page could read it; that is why the page allows no
 * script but its own (Content-Security-Policy) and builds no HTML out of texts. Neither token is ever part of a URL.
 *
 * Events: `ended` (detail: an EndReason).
 */
export class Session extends EventTarget {
  /** @type {User | null} */
  user = null;
  #access = '';
  #refresh = '';
  #accessEndsMs = 0;
  #accessTtlMs = ACCESS_TTL_DEFAULT_SECONDS * 1000;
  /** Counts token pairs: whoever waited for the lock sees by it that somebody else has renewed meanwhile. */
  #generation = 0;
  /** @type {Promise<void> | null} */
  #renewing = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #store;
  #channel;

  /** @param {Store} store */
  constructor(store) {
    super();
    this.#store = store;
    this.#channel = new SessionChannel({
      onRotated: (from, tokens) => {
        if (this.user !== null && from === this.#refresh && from !== tokens.refresh) this.#take(tokens);
      },
      onEnded: (refresh) => {
        if (this.user !== null && refresh === this.#refresh) this.#end('elsewhere');
      },
    });
  }

  /**
   * Takes up the session of this tab from before a reload. The first access token is fetched when it is asked for.
   *
   * @returns {boolean} whether there is one
   */
  restore() {
    const saved = /** @type {any} */ (this.#store.read(STORE_KEY));
    if (typeof saved?.refresh !== 'string' || typeof saved.userId !== 'number') return false;
    this.user = { userId: saved.userId, phoneNumber: String(saved.phoneNumber ?? '') };
    this.#refresh = saved.refresh;
    return true;
  }

  /**
   * Starts a session with what registering or logging in gave.
   *
   * @param {Tokens} tokens
   * @param {string} phoneNumber what the user typed, in case the answer does not repeat it
   */
  start(tokens, phoneNumber) {
    this.user = { userId: tokens.user_id ?? 0, phoneNumber: tokens.phone_number ?? phoneNumber };
    this.#refresh = '';
    this.#take(tokens);
  }

  /**
   * An access token that is good for a while.
   *
   * @param {{ refused?: string }} [options] `refused`: a token that the server has just turned down; if it is still
   *   the present one, a new one is fetched whatever its age
   * @returns {Promise<string>}
   * @throws {SignedOutError} when the session has ended
   * @throws {ApiError} when no new token could be fetched now, but perhaps later
   */
  async getAccess({ refused } = {}) {
    if (this.user === null) throw new SignedOutError();
    const isDue = Date.now() >= this.#accessEndsMs - this.#leadMs();
    if (isDue || refused === this.#access) await this.#renew();
    // The user may have signed out while the answer was under way.
    if (this.user === null) throw new SignedOutError();
    return this.#access;
  }

  /** Forgets the session here, at once, and then tells the server. */
  signOut() {
    const access = this.#access;
    const refresh = this.#refresh;
    if (this.user === null) return;
    this.#channel.tellEnded(refresh);
    this.#end('signed-out');
    void logout(access === '' ? null : access, refresh);
  }

  /** One renewal at a time: whoever asks while one is under way gets its result. */
  async #renew() {
    this.#renewing ??= this.#renewAlone().finally(() => {
      this.#renewing = null;
    });
    await this.#renewing;
  }

  async #renewAlone() {
    const generation = this.#generation;
    const locks = /** @type {LockManager | undefined} */ (navigator.locks);
    // Without Web Locks (an http address other than localhost) two tabs may collide; the server's grace helps then.
    if (locks === undefined) await this.#rotate(generation);
    else await locks.request(LOCK_NAME, () => this.#rotate(generation));
  }

  /** @param {number} generation the pair that is to be replaced */
  async #rotate(generation) {
    // Only a token out of storage can be one that another tab has exchanged without this tab hearing of it.
    if (this.#generation === 0) await this.#channel.ask(this.#refresh);
    if (this.user === null) throw new SignedOutError();
    if (this.#generation !== generation) return;
    const used = this.#refresh;
    try {
      const tokens = await refreshTokens(used);
      if (this.#refresh !== used) return;
      this.#take(tokens);
      this.#channel.tellRotated(used, tokens);
    } catch (error) {
      if (!(error instanceof ApiError) || !SESSION_OVER.includes(error.problem.status)) throw error;
      // Another tab was faster and has told this one: its pair is the good one.
      if (this.user !== null && this.#refresh !== used) return;
      this.#end('expired');
      throw new SignedOutError();
    }
  }

  /** @param {Tokens} tokens */
  #take(tokens) {
    const user = this.user;
    if (user === null) return;
    this.#channel.hold(this.#refresh === '' ? null : this.#refresh, tokens);
    this.#access = tokens.access;
    this.#refresh = tokens.refresh;
    if (typeof tokens.expires_in === 'number' && tokens.expires_in > 0) this.#accessTtlMs = tokens.expires_in * 1000;
    this.#accessEndsMs = Date.now() + this.#accessTtlMs;
    this.#generation += 1;
    this.#store.write(STORE_KEY, { refresh: tokens.refresh, userId: user.userId, phoneNumber: user.phoneNumber });
    this.#schedule(this.#accessTtlMs - this.#leadMs());
  }

  #leadMs() {
    return Math.min(RENEW_LEAD_MS, this.#accessTtlMs * RENEW_LEAD_SHARE);
  }

  /** @param {number} delayMs */
  #schedule(delayMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#renew().catch((error) => {
        if (error instanceof SignedOutError) return;
        const waitSeconds = error instanceof ApiError ? error.problem.retryAfterSeconds ?? 0 : 0;
        this.#schedule(Math.max(RENEW_RETRY_MS * (1 + Math.random()), waitSeconds * 1000));
      });
    }, Math.min(TIMER_MAX_MS, delayMs));
  }

  /** @param {EndReason} reason */
  #end(reason) {
    clearTimeout(this.#timer);
    this.user = null;
    this.#access = '';
    this.#refresh = '';
    this.#accessEndsMs = 0;
    // A new session of this tab starts with tokens of its own, which nobody else can have exchanged.
    this.#generation += 1;
    this.#channel.forget();
    this.#store.remove(STORE_KEY);
    this.dispatchEvent(new CustomEvent('ended', { detail: reason }));
  }
}
