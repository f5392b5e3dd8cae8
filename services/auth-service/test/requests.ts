import type { Problem, TokenResponse } from '@infrasignal/shared';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { GOOD_PASSWORD } from './auth-fixture.ts';

export type Answer = LightMyRequestResponse;

let numbersGiven = 0;

/** A French number that no other call in this process returned, in its national form. */
export function nextNumber(): string {
  numbersGiven += 1;
  return `01${String(numbersGiven).padStart(8, '0')}`;
}

/** The E.164 form of what {@link nextNumber} returns. */
export function toE164(nationalNumber: string): string {
  return `+33${nationalNumber.slice(1)}`;
}

/** Sends a body as it is (text or bytes), anything else as JSON. */
export function post(
  app: FastifyInstance,
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'application/json', ...headers } });
}

export function register(app: FastifyInstance, body: Record<string, unknown>): Promise<Answer> {
  return post(app, '/api/register/', body);
}

export function logIn(app: FastifyInstance, body: Record<string, unknown>): Promise<Answer> {
  return post(app, '/api/login/', body);
}

/** Registers an account that is not what the test is about. @throws Error when that fails */
export async function createAccount(
  app: FastifyInstance,
  body: { phone_number?: string; password?: string; email?: string } = {},
): Promise<TokenResponse> {
  const answer = await register(app, { phone_number: nextNumber(), password: GOOD_PASSWORD, ...body });
  if (answer.statusCode !== 201) throw new Error(`registration answered ${answer.statusCode}: ${answer.body}`);
  return answer.json();
}

export function problemOf(answer: Answer): Problem {
  return answer.json();
}

/** The refused places of a 400 as `pointer code`, sorted: what a client shows beside its fields. */
export function refusals(answer: Answer): string[] {
  return (problemOf(answer).errors ?? []).map(({ pointer, code }) => `${pointer} ${code}`).sort();
}
