import { en } from './texts/en.js';
import { fr } from './texts/fr.js';

/** @typedef {keyof typeof en} TextKey */
/** @typedef {'en' | 'fr'} Language */
/** @typedef {Record<string, string | number>} TextParams */

/** Every language of the page; the first one serves readers whose languages are all unknown. */
export const LANGUAGES = /** @type {const} */ ({ en, fr });

/**
 * The first language of the reader's list that the page speaks ("fr-CA" is served in French).
 *
 * @param {readonly string[]} preferred language tags, most wanted first
 * @returns {Language}
 */
export function pickLanguage(preferred) {
  for (const tag of preferred) {
    const language = tag.toLowerCase().split('-')[0] ?? '';
    if (isLanguage(language)) return language;
  }
  return 'en';
}

/**
 * The reader's own variety of a language for dates and numbers ("en-GB" writes 22 Nov, "en-US" Nov 22), else the
 * language itself.
 *
 * @param {Language} language
 * @param {readonly string[]} preferred language tags, most wanted first
 * @returns {string}
 */
export function pickLocale(language, preferred) {
  return preferred.find((tag) => tag.toLowerCase().split('-')[0] === language) ?? language;
}

/**
 * @param {unknown} value
 * @returns {value is Language}
 */
export function isLanguage(value) {
  return typeof value === 'string' && Object.hasOwn(LANGUAGES, value);
}

/**
 * Puts parameters into a text: `{name}` becomes `params.name`; an unknown name stays as it is, so that it is seen.
 *
 * @param {string} template
 * @param {TextParams} params
 * @returns {string}
 */
export function fillIn(template, params) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(params, name) ? String(params[name]) : whole));
}

/** Speaks one language at a time; whoever shows texts asks again after `use`. */
export class Translator {
  /** @type {Language} */
  language = 'en';
  /** For dates and numbers. */
  locale = 'en';
  #preferred;
  #plurals = new Intl.PluralRules('en');

  /**
   * @param {Language} language
   * @param {readonly string[]} preferred the reader's language tags, most wanted first
   */
  constructor(language, preferred) {
    this.#preferred = preferred;
    this.use(language);
  }

  /** @param {Language} language */
  use(language) {
    this.language = language;
    this.locale = pickLocale(language, this.#preferred);
    this.#plurals = new Intl.PluralRules(language);
  }

  /**
   * @param {TextKey} key
   * @param {TextParams} [params]
   * @returns {string}
   */
  text(key, params = {}) {
    return fillIn(LANGUAGES[this.language][key], params);
  }

  /**
   * The text for a count: `<key>.one` or `<key>.other` by the language's rule, with `{count}` filled in.
   *
   * @param {string} key
   * @param {number} count
   * @param {TextParams} [params]
   * @returns {string}
   */
  plural(key, count, params = {}) {
    const form = this.#plurals.select(count) === 'one' ? 'one' : 'other';
    return this.text(/** @type {TextKey} */ (`${key}.${form}`), { ...params, count: this.number(count) });
  }

  /**
   * The text of a key made at run time, such as an error code, or null when the page does not know it.
   *
   * @param {string} key
   * @param {TextParams} [params]
   * @returns {string | null}
   */
  find(key, params = {}) {
    return this.knows(key) ? this.text(key, params) : null;
  }

  /**
   * @param {string} key
   * @returns {key is TextKey}
   */
  knows(key) {
    return Object.hasOwn(LANGUAGES[this.language], key);
  }

  /** @param {number} value */
  number(value) {
    return new Intl.NumberFormat(this.locale).format(value);
  }
}
