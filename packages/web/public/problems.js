/** @import { Translator } from './i18n.js' */

/**
 * An answer that is not a success, or no answer at all.
 *
 * @typedef {object} Problem
 * @property {number} status 0 when no answer came
 * @property {string} code stable code of the API, or "network", "timeout", "unexpected" of the page itself
 * @property {string} [detail] a sentence of the server
 * @property {FieldProblem[]} fields
 * @property {number} [retryAfterSeconds]
 * @property {string} [requestId]
 *
 * @typedef {{ field: string, code: string, detail?: string }} FieldProblem
 */

/** Longest wait that the page obeys. A larger Retry-After is a mistake more often than an intention. */
const RETRY_AFTER_MAX_SECONDS = 3600;

/** Codes that stand for an HTTP status when the body names none (a proxy's own answer, for instance). */
const STATUS_CODES = new Map([
  [401, 'invalid_credentials'],
  [429, 'throttled'],
  [502, 'service_unavailable'],
  [503, 'overloaded'],
  [504, 'service_unavailable'],
]);

/**
 * Reads an error answer: problem+json (RFC 9457) with `code` and `errors`, else the per-field arrays of the older
 * API, else the bare status.
 *
 * @param {number} status
 * @param {unknown} body the parsed JSON, or null
 * @param {string | null} retryAfter the Retry-After header: seconds or an HTTP date (RFC 9110 section 10.2.3)
 * @param {number} nowMs
 * @returns {Problem}
 */
export function readProblem(status, body, retryAfter, nowMs) {
  const source = /** @type {Record<string, unknown>} */ (typeof body === 'object' && body !== null ? body : {});
  const code = text(source['code']) ?? STATUS_CODES.get(status) ?? 'unexpected';
  /** @type {Problem} */
  const problem = { status, code, fields: readFields(source) };
  const detail = text(source['detail']);
  if (detail !== undefined) problem.detail = detail;
  const requestId = text(source['request_id']);
  if (requestId !== undefined) problem.requestId = requestId;
  const seconds = readRetryAfter(retryAfter, nowMs);
  if (seconds !== null) problem.retryAfterSeconds = seconds;
  return problem;
}

/**
 * @param {Record<string, unknown>} source
 * @returns {FieldProblem[]}
 */
function readFields(source) {
  /** @type {FieldProblem[]} */
  const fields = [];
  const errors = Array.isArray(source['errors']) ? source['errors'] : [];
  for (const error of errors) {
    const field = typeof error?.pointer === 'string' ? error.pointer.replace(/^\//, '') : '';
    if (field !== '') fields.push(fieldProblem(field, text(error.code) ?? 'unexpected', text(error.detail)));
  }
  if (fields.length > 0) return fields;
  for (const [field, value] of Object.entries(source)) {
    if (Array.isArray(value) && typeof value[0] === 'string') fields.push(fieldProblem(field, 'unexpected', value[0]));
  }
  return fields;
}

/**
 * @param {string} field
 * @param {string} code
 * @param {string | undefined} detail
 * @returns {FieldProblem}
 */
function fieldProblem(field, code, detail) {
  return detail === undefined ? { field, code } : { field, code, detail };
}

/**
 * @param {string | null} header
 * @param {number} nowMs
 * @returns {number | null} whole seconds, from 1 to an hour
 */
function readRetryAfter(header, nowMs) {
  if (header === null || header.trim() === '') return null;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - nowMs) / 1000;
  if (Number.isNaN(seconds)) return null;
  return Math.min(RETRY_AFTER_MAX_SECONDS, Math.max(1, Math.ceil(seconds)));
}

/** @param {unknown} value */
function text(value) {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * The problem in the reader's language, spread over the form: one sentence per field that the form shows, and one for
 * the whole. Known codes are translated; an unknown one shows the server's own sentence rather than nothing.
 *
 * @param {Problem} problem
 * @param {readonly string[]} shownFields names of the form's fields
 * @param {Translator} translator
 * @returns {{ summary: string, fields: Map<string, string> }} `summary` is empty when the fields say it all
 */
export function describeProblem(problem, shownFields, translator) {
  /** @type {Map<string, string>} */
  const fields = new Map();
  /** @type {string[]} */
  const elsewhere = [];
  for (const { field, code, detail } of problem.fields) {
    const sentence = sentenceFor(code, detail, translator);
    if (!shownFields.includes(field)) elsewhere.push(sentence);
    else if (!fields.has(field)) fields.set(field, sentence);
  }
  if (fields.size > 0 && elsewhere.length === 0) return { summary: '', fields };
  const summary = elsewhere.length > 0 ? elsewhere.join(' ') : sentenceFor(problem.code, problem.detail, translator);
  return { summary, fields };
}

/**
 * @param {string} code
 * @param {string | undefined} detail
 * @param {Translator} translator
 * @returns {string}
 */
function sentenceFor(code, detail, translator) {
  // What the page calls unexpected the server may know better.
  if (code === 'unexpected' && detail !== undefined) return detail;
  // The least and greatest length are the server's configuration: only its own sentence knows the number.
  const limit = /\d+/.exec(detail ?? '')?.[0];
  const withLimit = limit === undefined ? null : translator.find(`error.${code}.limit`, { limit });
  return withLimit ?? translator.find(`error.${code}`) ?? detail ?? translator.text('error.unexpected');
}
