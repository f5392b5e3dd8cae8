import { BEARER_SUBPROTOCOL_PREFIX, commonErrors, SUBPROTOCOL, TICKET_SUBPROTOCOL_PREFIX } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { IncomingHttpHeaders } from 'node:http';
import { gatewayErrors } from './gateway-errors.ts';

/** Names under which clients of other systems put a token into the query string. */
const TOKEN_PARAMETERS = new Set(['access_token', 'token', 'access', 'jwt', 'bearer']);

/** RFC 6455 section 4.1: a base64 value of 16 bytes. */
const KEY_EXPRESSION = /^[+/0-9A-Za-z]{22}==$/;

const RFC_6455_VERSION = '13';

/** A token of RFC 9110 section 5.6.2: the name of a subprotocol. */
const NAME_EXPRESSION = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** RFC 6750 section 2.1, with the scheme in any case (RFC 9110 section 11.1). */
const BEARER_EXPRESSION = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/** What the subprotocols that a client offers say. */
export interface OfferedProtocols {
  /** The client speaks `infrasignal.v1`. */
  readonly hasControlFrames: boolean;
  readonly token: string | null;
  readonly ticket: string | null;
}

/** @throws ProblemError 400 or 426 for what is not a WebSocket handshake of RFC 6455 section 4.2.1. */
export function checkUpgrade(headers: IncomingHttpHeaders): void {
  if (headers.upgrade?.toLowerCase() !== 'websocket') throw new ProblemError(gatewayErrors.invalid_handshake);
  if (headers['sec-websocket-version'] !== RFC_6455_VERSION) {
    // RFC 6455 section 4.4: the answer names the version that would do.
    const answer = { upgrade: 'websocket', 'sec-websocket-version': RFC_6455_VERSION };
    throw new ProblemError(gatewayErrors.upgrade_required, { headers: answer });
  }
  if (!KEY_EXPRESSION.test(headers['sec-websocket-key'] ?? '')) throw new ProblemError(gatewayErrors.invalid_handshake);
}

/** A query string as it was parsed: a parameter that is given twice is a list. */
export type Query = Readonly<Record<string, unknown>>;

/** The cursor in `?after=`. One that is given twice is no cursor; an empty one is one that nobody handed out. */
export function readAfter({ after }: Query): string | null {
  if (after === undefined) return null;
  return typeof after === 'string' ? after : '';
}

/** @throws ProblemError 400 if a token-like parameter is in the query string, whatever its value. */
export function checkQuery(query: Query): void {
  const hasToken = Object.keys(query).some((name) => TOKEN_PARAMETERS.has(name.toLowerCase()));
  if (hasToken) throw new ProblemError(gatewayErrors.token_in_query);
}

/**
 * @param origin the `Origin` header; browsers always send it, and `null` from a sandboxed page
 * @throws ProblemError 403 if it is there and not on the list
 */
export function checkOrigin(origin: string | undefined, allowed: readonly string[]): void {
  if (origin !== undefined && !allowed.includes(origin)) throw new ProblemError(commonErrors.forbidden_origin);
}

/**
 * Reads `Sec-WebSocket-Protocol`.
 * @throws ProblemError 400 for what is no list of different names (RFC 6455 section 4.1), which `ws` would refuse in HTML,
 * and for a token without the protocol to answer with.
 */
export function readProtocols(header: string | undefined): OfferedProtocols {
  const offered = header === undefined ? [] : header.split(',').map((name) => name.replaceAll(/^[ \t]+|[ \t]+$/g, ''));
  const isList = offered.every((name) => NAME_EXPRESSION.test(name)) && new Set(offered).size === offered.length;
  if (!isList) throw new ProblemError(gatewayErrors.invalid_handshake);
  const hasControlFrames = offered.includes(SUBPROTOCOL);
  const token = findValue(offered, BEARER_SUBPROTOCOL_PREFIX);
  const ticket = findValue(offered, TICKET_SUBPROTOCOL_PREFIX);
  if ((token ?? ticket) !== null && !hasControlFrames) throw new ProblemError(gatewayErrors.subprotocol_required);
  return { hasControlFrames, token, ticket };
}

/** What follows a prefix in the one name that begins with it. */
function findValue(offered: readonly string[], prefix: string): string | null {
  const [name, ...others] = offered.filter((candidate) => candidate.startsWith(prefix));
  if (others.length > 0) throw new ProblemError(gatewayErrors.invalid_handshake);
  return name?.slice(prefix.length) ?? null;
}

/**
 * The access token of an `Authorization` header; null without the header. A cookie is never looked at: a page of
 * another site could make a browser send it.
 * @throws ProblemError 401 for an `Authorization` that is no bearer token
 */
export function readBearer(authorization: string | undefined): string | null {
  if (authorization === undefined) return null;
  const token = BEARER_EXPRESSION.exec(authorization)?.[1];
  if (token === undefined) throw invalidToken();
  return token;
}

/**
 * The access token of a handshake, from `Authorization` or from the subprotocols.
 * @throws ProblemError 401 as {@link readBearer}, and for two different tokens
 */
export function readToken(
  authorization: string | undefined,
  protocols: Pick<OfferedProtocols, 'token'>,
): string | null {
  const token = readBearer(authorization);
  if (token !== null && protocols.token !== null && protocols.token !== token) throw invalidToken();
  return token ?? protocols.token;
}

/** RFC 6750 section 3: no error code when no token was sent. */
export function missingToken(): ProblemError {
  return new ProblemError(commonErrors.invalid_token, { headers: { 'www-authenticate': 'Bearer' } });
}

export function invalidToken(cause?: unknown): ProblemError {
  const headers = { 'www-authenticate': 'Bearer error="invalid_token"' };
  return new ProblemError(commonErrors.invalid_token, { headers, cause });
}

/** What is missing now and may be there at the next attempt. */
export function notReady(retryAfterSeconds: number): ProblemError {
  const headers = { 'retry-after': String(retryAfterSeconds) };
  return new ProblemError(commonErrors.service_unavailable, { headers });
}
