import { commonErrors, fieldErrors, type FieldProblem } from '@infrasignal/shared';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { safeParse } from 'secure-json-parse';
import { ProblemError } from './problem-error.ts';
import { toPointer } from './validation-problems.ts';

/** Deeper than any body we accept; a body nested deeper is refused before anything walks it. */
const BODY_DEPTH_MAX = 16;

const malformed = (): ProblemError => new ProblemError(commonErrors.malformed_body);

/** NUL cannot be stored by PostgreSQL, and an unpaired surrogate has no UTF-8 form. */
function hasForbiddenCharacters(text: string): boolean {
  return text.includes('\u0000') || !text.isWellFormed();
}

function findForbidden(value: unknown, pointer: string, depth: number): FieldProblem | null {
  if (depth > BODY_DEPTH_MAX) throw malformed();
  if (typeof value === 'string') {
    if (!hasForbiddenCharacters(value)) return null;
    const { code, detail } = fieldErrors.invalid_characters;
    return { pointer, code, detail };
  }
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, item] of Object.entries(value)) {
    if (hasForbiddenCharacters(key)) throw malformed();
    const found = findForbidden(item, toPointer(pointer, key), depth + 1);
    if (found !== null) return found;
  }
  return null;
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const items: unknown[] = Object.values(value);
  return items.reduce<number>((count, item) => count + countMembers(item), Array.isArray(value) ? 0 : items.length);
}

/** Each member of an object has one colon outside of strings; of two with one name the parser kept the last only. */
function hasDuplicateNames(text: string, value: unknown): boolean {
  const colons = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '').split(':').length - 1;
  return colons !== countMembers(value);
}

function parseBody(body: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (error) {
    throw new ProblemError(commonErrors.malformed_body, { cause: error });
  }
  const value: unknown = safeParse(text);
  // safeParse answers undefined for text that is no JSON and null for `__proto__` or `constructor.prototype` keys.
  if (value === undefined || (value === null && text.trim() !== 'null')) throw malformed();
  const problem = findForbidden(value, '', 0);
  if (problem !== null) throw new ProblemError(commonErrors.invalid_request, { errors: [problem] });
  if (hasDuplicateNames(text, value)) {
    throw new ProblemError(commonErrors.malformed_body, { detail: 'An object in the body has one name twice.' });
  }
  return value;
}

async function jsonBody(app: FastifyInstance): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

/**
 * The one way a body is read: application/json in strict UTF-8 (RFC 8259 section 8.1), no name twice in an object
 * (RFC 7493 section 2.3), no prototype keys, no NUL, no unpaired surrogates, bounded depth. Anything else is refused
 * before a schema or a hash sees it.
 */
export const jsonBodyPlugin = fp(jsonBody, { name: 'json-body', fastify: '5.x' });
