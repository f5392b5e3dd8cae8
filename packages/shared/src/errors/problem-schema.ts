import { Type, type Static } from 'typebox';

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
