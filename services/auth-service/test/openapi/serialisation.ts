import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TestContext } from '../auth-fixture.ts';

/** Fastify announces here that a handler is about to run, and gives its reply away. */
const CHANNEL = 'tracing:fastify.request.handler:start';

type Serialise = (payload: unknown) => string;

export interface SerialisationWatch {
  /** The answers that lost something. */
  readonly losses: readonly string[];
  /** How many answers were looked at. */
  readonly compared: { readonly count: number };
}

/**
 * Watches what the response schemas make of what the handlers return: a serialiser that is compiled from a schema
 * leaves out in silence what the schema does not have.
 */
export function watchSerialisation(t: TestContext): SerialisationWatch {
  const losses: string[] = [];
  const compared = { count: 0 };
  const watch = (message: unknown): void => {
    const { request, reply } = message as { request: FastifyRequest; reply: FastifyReply };
    const send = reply.send.bind(reply);
    reply.send = (payload?: unknown) => {
      const serialise = reply.getSerializationFunction(String(reply.statusCode)) as Serialise | undefined;
      if (serialise !== undefined && typeof payload === 'object' && payload !== null) {
        const whole = JSON.stringify(payload);
        const sent = serialise(payload);
        if (inOrder(whole) !== inOrder(sent)) losses.push(`${request.method} ${request.url}: ${whole} became ${sent}`);
        compared.count += 1;
      }
      return send(payload);
    };
  };
  subscribe(CHANNEL, watch);
  t.teardown(() => unsubscribe(CHANNEL, watch));
  return { losses, compared };
}

function inOrder(text: string): string {
  return JSON.stringify(sortMembers(JSON.parse(text)));
}

/** The order of members is no part of a JSON value. */
function sortMembers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sortMembers);
  const members = Object.entries(value).map(([name, member]) => [name, sortMembers(member)] as const);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}
