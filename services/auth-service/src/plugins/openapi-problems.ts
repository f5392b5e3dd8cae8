import { commonErrors, fieldErrors, toProblem, type ErrorDefinition, type FieldProblem } from '@infrasignal/shared';
import { fieldErrorOf } from '@infrasignal/service-kit';
import type { FastifySchema } from 'fastify';
import { allowedHostsErrors } from './allowed-hosts-plugin.ts';
import { browserSessionErrors } from './browser-session-plugin.ts';

declare module 'fastify' {
  interface FastifySchema {
    /** The problems that this route adds to those that every route like it can answer with. */
    errors?: readonly ErrorDefinition[];
    /**
     * The problems of single fields, by the field's name. Those with status 400 stand in the `errors` of an
     * `invalid_request`; any other is answered under its own status, with the field in `errors`.
     */
    fieldErrors?: Readonly<Record<string, readonly ErrorDefinition[]>>;
  }
}

/** What the document says of the problems of one operation. */
export interface OperationProblems {
  readonly definitions: readonly ErrorDefinition[];
  /** Problems of fields, each with the place in the body that it is about. */
  readonly ofFields: readonly { readonly definition: ErrorDefinition; readonly pointer: string }[];
  /** The codes that `errors` of an `invalid_request` can hold because of what the schemas say. */
  readonly ofSchemas: readonly string[];
  /** A place that a request could have wrong, for the example of `invalid_request`. */
  readonly sample: FieldProblem;
  /** The path of an example. */
  readonly instance: string;
}

/** As much of a JSON schema as is looked at here. */
export interface ObjectSchema {
  readonly properties?: Readonly<Record<string, { readonly examples?: readonly string[] }>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly ObjectSchema[];
}

const EXAMPLE_REQUEST_ID = '0d6c9fb0-5a3f-4c34-9d4b-6f7a52a7c1de';

/** Methods whose requests have a body; of the others it is not read. */
const METHODS_WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/** Keywords of JSON Schema that refuse a value; of those that this API uses. */
const REFUSING_KEYWORDS: ReadonlySet<string> = new Set(
  'type const enum minimum maximum minLength maxLength minItems maxItems pattern format required'.split(' '),
);

const inAnyPath: ReadonlySet<string> = new Set([fieldErrors.required.code, fieldErrors.invalid_type.code]);

/** The members of a body that may be left out stand in one branch of a union. */
function findObject(schema: ObjectSchema | undefined): ObjectSchema | null {
  if (schema === undefined || schema.properties !== undefined) return schema ?? null;
  return schema.anyOf?.map(findObject).find((branch) => branch !== null) ?? null;
}

function toFieldProblem({ code, detail }: ErrorDefinition, pointer: string): FieldProblem {
  return { pointer, code, detail };
}

/** The likeliest mistake in a request to this route. */
function sampleOf(schema: FastifySchema): FieldProblem {
  const body = findObject(schema.body as ObjectSchema | undefined);
  const required = body?.required?.[0];
  if (required !== undefined) return toFieldProblem(fieldErrors.required, `/${required}`);
  const [member] = Object.keys(body?.properties ?? {});
  if (member !== undefined) return toFieldProblem(fieldErrors.invalid_type, `/${member}`);
  const parameters = (schema.params ?? schema.querystring) as ObjectSchema | undefined;
  const [parameter = ''] = Object.keys(parameters?.properties ?? {});
  return toFieldProblem(fieldErrors.invalid_format, `/${parameter}`);
}

/** The codes of what a schema and those in it can refuse. */
function codesOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  if (Array.isArray(schema)) return schema.flatMap(codesOf);
  return Object.entries(schema).flatMap(([keyword, value]: [string, unknown]) => {
    if (keyword === 'properties' && typeof value === 'object' && value !== null) return codesOf(Object.values(value));
    if (keyword === 'additionalProperties' && value === false) return [fieldErrorOf(keyword).code];
    if (REFUSING_KEYWORDS.has(keyword)) return [fieldErrorOf(keyword).code];
    return keyword === 'anyOf' || keyword === 'items' ? codesOf(value) : [];
  });
}

/** True if every way in needs something. */
function isGuarded({ security = [] }: FastifySchema): boolean {
  return security.length > 0 && security.every((way) => Object.keys(way).length > 0);
}

function securityProblems(schema: FastifySchema): ErrorDefinition[] {
  const hasCsrf = schema.security?.some((way) => 'csrf' in way) ?? false;
  return [
    ...(isGuarded(schema) ? [commonErrors.invalid_token] : []),
    ...(hasCsrf ? [commonErrors.forbidden_origin, browserSessionErrors.csrf_failed] : []),
  ];
}

/** Everything that a route can answer besides its success: what it lists, and what follows from what it takes. */
export function problemsOf(schema: FastifySchema, { method, url }: { method: string; url: string }): OperationProblems {
  const hasBody = METHODS_WITH_BODY.has(method);
  const hasInput = hasBody || schema.querystring !== undefined || schema.params !== undefined;
  const ofFields = Object.entries(schema.fieldErrors ?? {}).flatMap(([field, definitions]) =>
    definitions.map((definition) => ({ definition, pointer: `/${field}` })),
  );
  const definitions = [
    ...(hasInput ? [commonErrors.invalid_request] : []),
    ...(hasBody
      ? [commonErrors.malformed_body, commonErrors.payload_too_large, commonErrors.unsupported_media_type]
      : []),
    allowedHostsErrors.host_not_allowed,
    ...securityProblems(schema),
    ...(schema.errors ?? []),
    ...ofFields.map(({ definition }) => definition).filter(({ status }) => status !== 400),
    commonErrors.internal_error,
    // What is public and takes nothing is answered from memory; everything else asks the database.
    ...(hasInput || isGuarded(schema) ? [commonErrors.service_unavailable] : []),
  ];
  const parameters = (schema.params as ObjectSchema | undefined)?.properties ?? {};
  const instance = url.replace(/:(\w+)/g, (_, name: string) => parameters[name]?.examples?.[0] ?? `{${name}}`);
  const ofSchemas = new Set([
    ...codesOf([schema.body, schema.querystring, schema.headers]),
    // A part of the path is there, and text; or the path is another one.
    ...codesOf(schema.params).filter((code) => !inAnyPath.has(code)),
    ...(hasBody ? [fieldErrors.invalid_characters.code] : []),
  ]);
  return {
    definitions: [...new Set(definitions)],
    ofFields,
    ofSchemas: [...ofSchemas],
    sample: sampleOf(schema),
    instance,
  };
}

interface Example {
  readonly summary: string;
  readonly value: unknown;
}

/** The examples of one problem; `invalid_request` has one for each field problem that the route adds. */
function examplesOf(definition: ErrorDefinition, problems: OperationProblems): [name: string, example: Example][] {
  const { ofFields, sample, instance } = problems;
  const example = (summary: string, errors?: FieldProblem[]): Example => ({
    summary,
    value: toProblem(definition, {
      instance,
      requestId: EXAMPLE_REQUEST_ID,
      ...(errors === undefined ? {} : { errors }),
    }),
  });
  if (definition === commonErrors.invalid_request) {
    const added = ofFields.filter((field) => field.definition.status === 400);
    return [
      [definition.code, example(definition.title, [sample])],
      ...added.map((field): [string, Example] => [
        field.definition.code,
        example(field.definition.title, [toFieldProblem(field.definition, field.pointer)]),
      ]),
    ];
  }
  const field = ofFields.find((candidate) => candidate.definition === definition);
  const errors = field === undefined ? undefined : [toFieldProblem(definition, field.pointer)];
  return [[definition.code, example(definition.title, errors)]];
}

/** The codes that `errors[]` may hold under a status; null when problems of this status name no fields. */
function fieldCodes(status: number, { ofFields, ofSchemas }: OperationProblems): string[] | null {
  const added = ofFields.filter(({ definition }) => definition.status === status);
  const codes = new Set(added.map(({ definition }) => definition.code));
  if (status === 400 && ofSchemas.length > 0) return [...ofSchemas, ...codes];
  return codes.size === 0 ? null : [...codes];
}

function headersOf(definitions: readonly ErrorDefinition[]): object | null {
  const isAll = (wanted: (definition: ErrorDefinition) => boolean): boolean => definitions.every(wanted);
  if (isAll((definition) => definition === commonErrors.invalid_token)) {
    const description = '`Bearer`, with `error="invalid_token"` if the request carried a token (RFC 6750 section 3).';
    return { 'WWW-Authenticate': { required: true, description, schema: { type: 'string' } } };
  }
  if (isAll(({ status }) => status === 429 || status === 503)) {
    const description = 'Seconds after which to try again (RFC 9110 section 10.2.3).';
    return { 'Retry-After': { required: true, description, schema: { type: 'integer', minimum: 0 } } };
  }
  return null;
}

/** The document's `responses` for the problems of an operation: one per status, an example per problem. */
export function toResponses(problems: OperationProblems): Record<string, object> {
  const statuses = [...new Set(problems.definitions.map(({ status }) => status))].sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => {
      const definitions = problems.definitions.filter((definition) => definition.status === status);
      const codes = fieldCodes(status, problems);
      // Narrows Problem's own `errors`, whose other members are therefore none of its business.
      const item = { type: 'object', properties: { code: { enum: codes } }, additionalProperties: true };
      const errors = { type: 'array', items: item };
      const members = {
        status: { const: status },
        code: { enum: definitions.map(({ code }) => code) },
        ...(codes === null ? {} : { errors }),
      };
      const schema = { allOf: [{ $ref: '#/components/schemas/Problem' }, { type: 'object', properties: members }] };
      const examples = Object.fromEntries(definitions.flatMap((definition) => examplesOf(definition, problems)));
      const headers = headersOf(definitions);
      const response = {
        description: definitions.map(({ code, detail }) => `- \`${code}\`: ${detail}`).join('\n'),
        ...(headers === null ? {} : { headers }),
        content: { 'application/problem+json': { schema, examples } },
      };
      return [String(status), response];
    }),
  );
}
