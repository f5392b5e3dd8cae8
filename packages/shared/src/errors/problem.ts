import { Type, type Static } from 'typebox';
import type { ErrorDefinition } from './define-errors.ts';

/** One place of the request that is wrong. */
export const FieldProblemSchema = Type.Object({
  pointer: Type.String({ description: 'JSON pointer (RFC 6901) into the body, for instance `/phone_number`.' }),
  code: Type.String(),
  detail: Type.String(),
});
export type FieldProblem = Static<typeof FieldProblemSchema>;

/**
 * The body of every error: application/problem+json (RFC 9457), plus `code`, `request_id`, `errors`, and for old
 * clients one array of texts per field, as Django REST Framework sent them (`"phone_number": ["…"]`).
 */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: '`urn:infrasignal:error:<code>`' }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String(),
    code: Type.String({ description: 'Stable and never reused; see docs/errors.md.' }),
    instance: Type.String({ description: 'The path of the request.' }),
    request_id: Type.String(),
    errors: Type.Optional(Type.Array(FieldProblemSchema)),
  },
  {
    $id: 'Problem',
    additionalProperties: true,
    description:
      'An error (RFC 9457). For each field in `errors` there is also a member of the field’s name with its texts, as ' +
      'Django REST Framework sent them: `"phone_number": ["…"]`.',
  },
);
export type Problem = Static<typeof ProblemSchema> & Record<string, unknown>;

export interface ProblemOccurrence {
  readonly instance: string;
  readonly requestId: string;
  readonly detail?: string;
  readonly errors?: readonly FieldProblem[];
}

/** Field names that would shadow a member of the problem itself are not repeated as inherited arrays. */
const RESERVED = new Set(['type', 'title', 'status', 'detail', 'code', 'instance', 'request_id', 'errors', '__proto__']);

function inheritedFieldArrays(errors: readonly FieldProblem[]): Record<string, string[]> {
  const arrays = new Map<string, string[]>();
  for (const { pointer, detail } of errors) {
    const field = pointer.split('/')[1]?.replaceAll('~1', '/').replaceAll('~0', '~') ?? '';
    if (RESERVED.has(field)) continue;
    const key = field === '' ? 'non_field_errors' : field;
    arrays.set(key, [...(arrays.get(key) ?? []), detail]);
  }
  return Object.fromEntries(arrays);
}

/** Makes the body of one error from its definition and what happened. */
export function toProblem(definition: ErrorDefinition, occurrence: ProblemOccurrence): Problem {
  const { errors } = occurrence;
  return {
    type: `urn:infrasignal:error:${definition.code}`,
    title: definition.title,
    status: definition.status,
    detail: occurrence.detail ?? definition.detail,
    code: definition.code,
    instance: occurrence.instance,
    request_id: occurrence.requestId,
    ...(errors === undefined ? {} : { errors: [...errors], ...inheritedFieldArrays(errors) }),
  };
}
