import { fieldErrors, type ErrorDefinition, type FieldProblem } from '@infrasignal/shared';
import type { FastifySchemaValidationError } from 'fastify';

/** 20 places are enough to mend a request by; an answer that repeats a hostile body back is not. */
const FIELD_PROBLEMS_MAX = 20;

/** Characters of a pointer; what is longer is cut: the answer must not carry a hostile body back. */
const POINTER_LENGTH_MAX = 128;

const definitionByKeyword: Readonly<Record<string, ErrorDefinition>> = {
  required: fieldErrors.required,
  type: fieldErrors.invalid_type,
  additionalProperties: fieldErrors.unknown_field,
  minLength: fieldErrors.too_short,
  minItems: fieldErrors.too_short,
  maxLength: fieldErrors.too_long,
  maxItems: fieldErrors.too_long,
  pattern: fieldErrors.invalid_format,
  format: fieldErrors.invalid_format,
};

/** The field problem that a broken keyword of a schema (JSON Schema validation, section 6) is answered with. */
export function fieldErrorOf(keyword: string): ErrorDefinition {
  return definitionByKeyword[keyword] ?? fieldErrors.invalid_value;
}

/** Cuts a pointer to its maximum, never within an escape or a surrogate pair. */
function bound(pointer: string): string {
  if (pointer.length <= POINTER_LENGTH_MAX) return pointer;
  return pointer.slice(0, POINTER_LENGTH_MAX).replace(/~$|[\ud800-\udbff]$/, '');
}

/** The pointer (RFC 6901) to a member of what `parent` points to, bounded in length. */
export function toPointer(parent: string, name: string): string {
  return bound(`${parent}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
}

function pointerOf(error: FastifySchemaValidationError): string {
  const { missingProperty, additionalProperty } = error.params;
  const name = [missingProperty, additionalProperty].find((value) => typeof value === 'string');
  return name === undefined ? bound(error.instancePath) : toPointer(error.instancePath, name);
}

/** The validator's findings as field problems: one per place, the most telling first, bounded in number. */
export function toFieldProblems(findings: readonly FastifySchemaValidationError[]): FieldProblem[] {
  const problems = new Map<string, FieldProblem>();
  for (const finding of findings) {
    // A union reports each branch that did not match; the branches say more than the union does.
    if (finding.keyword === 'anyOf' && findings.length > 1) continue;
    const pointer = pointerOf(finding);
    if (problems.has(pointer)) continue;
    if (problems.size >= FIELD_PROBLEMS_MAX) break;
    const definition = fieldErrorOf(finding.keyword);
    problems.set(pointer, { pointer, code: definition.code, detail: definition.detail });
  }
  return [...problems.values()];
}
