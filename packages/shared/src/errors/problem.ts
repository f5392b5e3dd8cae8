import type { ErrorDefinition } from './define-errors.ts';
import type { FieldProblem, Problem } from './problem-schema.ts';

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
