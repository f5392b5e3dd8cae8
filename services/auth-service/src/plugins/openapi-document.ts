import type fastifySwagger from '@fastify/swagger';
import { commonErrors, ProblemSchema, type ErrorDefinition } from '@infrasignal/shared';
import { connectionErrors } from '@infrasignal/service-kit';
import type { FastifySchema } from 'fastify';
import { problemsOf, toResponses, type OperationProblems } from './openapi-problems.ts';

/** As much of an OpenAPI 3.1 document as is looked at here. */
export interface OpenApiDocument {
  readonly components: { readonly schemas: Record<string, unknown> };
  paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  responses: Record<string, object>;
  requestBody?: { required: boolean; content: Record<string, { schema: { anyOf?: { type?: string }[] } }> };
  [COMPONENT]?: string;
  [PROBLEMS]?: OperationProblems;
}

/** Extensions that carry something from a route to the document's last step; the document that is served has none. */
const COMPONENT = 'x-component';
const PROBLEMS = 'x-problems';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A copy in which every object is what `change` makes of it, from the leaves up. */
function mapObjects(value: unknown, change: (object: Record<string, unknown>) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapObjects(item, change));
  if (!isObject(value)) return value;
  const members = Object.entries(value).map(([name, member]) => [name, mapObjects(member, change)] as const);
  return change(Object.fromEntries(members));
}

/** `$id` is what makes a schema a component, and the generator drops it. */
function markComponent({ $id, ...schema }: Record<string, unknown>): unknown {
  return typeof $id === 'string' ? { ...schema, [COMPONENT]: $id } : schema;
}

/** The generator's view of a route: the schemas that validate it, and the problems that it can answer with. */
export const describeRoute: fastifySwagger.SwaggerTransform = ({ schema, url, route }) => {
  // What has no schema or no tag is no part of the API; the generator leaves it out.
  if ((schema as FastifySchema | undefined)?.tags === undefined) return { schema, url };
  const { body, querystring, params, headers, response, errors: _, fieldErrors: __, ...description } = schema;
  const schemas = mapObjects({ body, querystring, params, headers, response }, markComponent) as FastifySchema;
  const given = Object.entries(schemas).filter(([, value]) => value !== undefined);
  const problems = problemsOf(schema, { method: String(route.method), url });
  return { schema: { ...description, ...Object.fromEntries(given), [PROBLEMS]: problems }, url };
};

/** A body that may be null may be left out: that is how the server reads an absent one. */
function isOptionalBody({ content }: NonNullable<Operation['requestBody']>): boolean {
  return Object.values(content).every(({ schema }) => schema.anyOf?.some(({ type }) => type === 'null') ?? false);
}

function completeOperation(operation: Operation): void {
  const { [PROBLEMS]: problems, requestBody } = operation;
  if (problems !== undefined) operation.responses = { ...operation.responses, ...toResponses(problems) };
  delete operation[PROBLEMS];
  if (requestBody !== undefined) requestBody.required = !isOptionalBody(requestBody);
}

/** What the generator leaves undone: errors, bodies that may be absent, and schemas with a name in one place. */
export const completeDocument: fastifySwagger.SwaggerTransformObject = (source) => {
  if (!('openapiObject' in source)) throw new Error('this is no OpenAPI document');
  const document = source.openapiObject as unknown as OpenApiDocument;
  const { schemas } = document.components;
  schemas.Problem = mapObjects(ProblemSchema, ({ $id: _, ...schema }) => schema);
  for (const path of Object.values(document.paths)) Object.values(path).forEach(completeOperation);
  document.paths = mapObjects(document.paths, ({ [COMPONENT]: name, ...schema }) => {
    if (typeof name !== 'string') return schema;
    schemas[name] = schema;
    return { $ref: `#/components/schemas/${name}` };
  }) as OpenApiDocument['paths'];
  return source.openapiObject;
};

/** Answers that belong to no operation: there is none at that address, or the request never reached one. */
const ELSEWHERE: readonly ErrorDefinition[] = [
  connectionErrors.malformed_request,
  commonErrors.not_found,
  commonErrors.method_not_allowed,
  connectionErrors.request_timeout,
  connectionErrors.headers_too_large,
];

/** The document's introduction, in Markdown. */
export function renderIntroduction(): string {
  const elsewhere = ELSEWHERE.map(({ status, code, detail }) => `| ${status} | \`${code}\` | ${detail} |`);
  return [
    'User accounts over HTTP whose every event reaches WebSocket clients in real time.',
    '',
    '## Requests',
    '',
    'Every path works with and without a trailing slash. Bodies are `application/json` in UTF-8. Nothing is converted',
    'and nothing is dropped in silence: a field of the wrong type or an unknown one is refused.',
    '',
    '## Errors',
    '',
    'Every error is `application/problem+json` (RFC 9457). Branch on `code`: it is never renamed and never reused;',
    '`title` and `detail` are for people and may change. Each operation lists the codes that it can answer with.',
    'Besides them there are answers that belong to no operation:',
    '',
    '| Status | Code | Meaning |',
    '| --- | --- | --- |',
    ...elsewhere,
  ].join('\n');
}
