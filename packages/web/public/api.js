import { readProblem } from './problems.js';

/** @import { Problem } from './problems.js' */

/**
 * A pair of tokens with whom it is for, as `register`, `login` and `token/refresh` give it.
 *
 * @typedef {object} Tokens
 * @property {string} access
 * @property {string} refresh
 * @property {number} [user_id]
 * @property {string} [phone_number] as the user wrote it
 * @property {number} [expires_in] seconds that the access token lives from now on
 */

/** An answer that takes longer is given up. Shorter: a slow phone network fails; longer: the user has left. */
const ANSWER_TIMEOUT_MS = 20_000;

/** A request that did not succeed; `problem` says why. */
export class ApiError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(`${problem.status} ${problem.code}`);
    this.name = 'ApiError';
    this.problem = problem;
  }
}

/**
 * @param {{ phone_number: string, password: string, email?: string }} account
 * @returns {Promise<Tokens>}
 * @throws {ApiError}
 */
export function register(account) {
  return postForTokens('/api/register/', account);
}

/**
 * @param {{ phone_number: string, password: string }} credentials
 * @returns {Promise<Tokens>}
 * @throws {ApiError}
 */
export function login(credentials) {
  return postForTokens('/api/login/', credentials);
}

/**
 * Exchanges a refresh token for the next pair. The token given is used up by it.
 *
 * @param {string} refresh
 * @returns {Promise<Tokens>}
 * @throws {ApiError} with status 401 when the session has ended
 */
export function refreshTokens(refresh) {
  return postForTokens('/api/token/refresh/', { refresh });
}

/**
 * Asks the server to end the session, as well as it can: whatever comes back, this device has forgotten the tokens.
 *
 * @param {string | null} access
 * @param {string} refresh
 */
export async function logout(access, refresh) {
  try {
    // `keepalive`: a log-out must still leave when the page is being closed.
    const headers = access === null ? {} : { authorization: `Bearer ${access}` };
    await post('/api/logout/', { refresh }, { headers, keepalive: true });
  } catch {
    // The server is away or does not know this request; the session then ends by its own age.
  }
}

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<Tokens>}
 */
async function postForTokens(path, body) {
  const answer = /** @type {any} */ (await post(path, body));
  if (typeof answer?.access === 'string' && typeof answer.refresh === 'string') return answer;
  throw new ApiError({ status: 200, code: 'unexpected', fields: [] });
}

/**
 * @param {string} path
 * @param {object} body
 * @param {{ headers?: Record<string, string>, keepalive?: boolean }} [options]
 * @returns {Promise<unknown>} the parsed body, or null when it is not JSON
 */
async function post(path, body, { headers = {}, keepalive = false } = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
      body: JSON.stringify(body),
      cache: 'no-store',
      keepalive,
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
  } catch (error) {
    const code = error instanceof DOMException && error.name === 'TimeoutError' ? 'timeout' : 'network';
    throw new ApiError({ status: 0, code, fields: [] });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new ApiError(readProblem(response.status, answer, response.headers.get('retry-after'), Date.now()));
}
