/**
 * A browser store that may be forbidden (private windows, blocked site data): then it remembers nothing, and the page
 * works without memory instead of not at all.
 *
 * @param {() => Storage} open `() => sessionStorage`: the mere access may throw
 */
export function createStore(open) {
  /** @type {Storage | null} */
  let store = null;
  try {
    store = open();
  } catch {
    store = null;
  }
  return {
    /**
     * @param {string} key
     * @returns {unknown} what was stored, or null
     */
    read(key) {
      try {
        return JSON.parse(store?.getItem(key) ?? 'null');
      } catch {
        return null;
      }
    },
    /**
     * @param {string} key
     * @param {unknown} value
     */
    write(key, value) {
      try {
        store?.setItem(key, JSON.stringify(value));
      } catch {
        // The store is full or forbidden: what is on screen is unharmed, only a reload starts with less.
      }
    },
    /** @param {string} key */
    remove(key) {
      try {
        store?.removeItem(key);
      } catch {
        // Nothing was stored, so there is nothing to remove.
      }
    },
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */
