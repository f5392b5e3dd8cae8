const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;
/** Below this age a notification is simply "now": a counter that ticks every second draws the eye for nothing. */
const NOW_SECONDS = 10;

/**
 * How long ago something happened, as words. A time ahead of this device's clock counts as now: clocks differ by
 * some seconds and "in 3 seconds" would be absurd for something that has arrived.
 *
 * @param {number} atMs time of the event, milliseconds since 1970
 * @param {number} nowMs
 * @param {string} locale
 * @param {string} nowText what to say for the last few seconds
 * @returns {string}
 */
export function relativeTime(atMs, nowMs, locale, nowText) {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < NOW_SECONDS) return nowText;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  if (seconds < MINUTE_SECONDS) return format.format(-Math.floor(seconds / 10) * 10, 'second');
  if (seconds < HOUR_SECONDS) return format.format(-Math.floor(seconds / MINUTE_SECONDS), 'minute');
  if (seconds < DAY_SECONDS) return format.format(-Math.floor(seconds / HOUR_SECONDS), 'hour');
  return format.format(-Math.floor(seconds / DAY_SECONDS), 'day');
}

/**
 * The exact date and time in the reader's time zone, to the second.
 *
 * @param {number} atMs
 * @param {string} locale
 * @returns {string}
 */
export function exactTime(atMs, locale) {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }).format(atMs);
}

/**
 * Whole seconds that are left until a moment, never negative; the last fraction counts as a second, so that a
 * countdown never shows 0 while it is still waiting.
 *
 * @param {number} untilMs
 * @param {number} nowMs
 * @returns {number}
 */
export function secondsLeft(untilMs, nowMs) {
  return Math.max(0, Math.ceil((untilMs - nowMs) / 1000));
}
