import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { FastifyInstance } from 'fastify';
import type { Answer } from '../requests.ts';

/** As much of JSON Schema as this API's document uses. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly minimum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

interface Media {
  readonly schema: JsonSchema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

interface DocumentedResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, Media>>;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: JsonSchema;
  readonly example?: unknown;
}

interface DocumentedOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: { readonly 'application/json': Media } };
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
}

export interface OpenApi {
  readonly openapi: string;
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, { readonly type: string; readonly name?: string }>>;
  };
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** One operation of the document. */
export interface Operation extends DocumentedOperation {
  readonly method: Method;
  /** With its parameters in braces. */
  readonly path: string;
  /** Where it stands in the document, as a JSON pointer. */
  readonly pointer: string;
}

/** A code that the document says an operation can answer with. */
export interface DocumentedCode {
  readonly status: number;
  readonly code: string;
}

function escape(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The values of a list of codes in a response: `code` itself, or `errors[].code`. */
function codesIn(response: DocumentedResponse, where: 'code' | 'errors'): string[] {
  const members = response.content?.['application/problem+json']?.schema.allOf?.[1]?.properties;
  const schema = where === 'code' ? members?.code : members?.errors?.items?.properties?.code;
  return (schema?.enum ?? []).map(String);
}

/** The document that a running service serves, as a promise that its answers can be held to. */
export class Contract {
  readonly document: OpenApi;
  readonly operations: readonly Operation[];
  readonly #ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(document: OpenApi) {
    this.document = document;
    addFormats.default(this.#ajv);
    // To the validator the document is a schema whose own members mean nothing, and whose parts are referred to.
    this.#ajv.addVocabulary(Object.keys(document));
    this.#ajv.addSchema(document, 'openapi', false, false);
    this.operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        ...operation,
        method: method.toUpperCase() as Method,
        path,
        pointer: `/paths/${escape(path)}/${method}`,
      })),
    );
  }

  static async load(app: FastifyInstance): Promise<Contract> {
    return new Contract((await app.inject('/api/openapi.json')).json());
  }

  find(operationId: string): Operation {
    const operation = this.operations.find((candidate) => candidate.operationId === operationId);
    if (operation === undefined) throw new Error(`the document has no ${operationId}`);
    return operation;
  }

  /** What is wrong with a value by the schema at a place of the document, if anything. */
  complaintsAbout(pointer: string, value: unknown): string[] {
    const known = this.#validators.get(pointer);
    const validate = known ?? this.#ajv.compile({ $ref: `openapi#${pointer}` });
    this.#validators.set(pointer, validate);
    if (validate(value)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }

  /** What is not as the document says in the answer to an operation: status, headers, content type, body. */
  check(operation: Operation, answer: Pick<Answer, 'statusCode' | 'headers' | 'body'>): string[] {
    const { statusCode, headers, body } = answer;
    const response = operation.responses[String(statusCode)];
    if (response === undefined) return [`status ${statusCode} is not documented: ${body.slice(0, 300)}`];
    const missing = Object.entries(response.headers ?? {})
      .filter(([name, header]) => header.required === true && headers[name.toLowerCase()] === undefined)
      .map(([name]) => `${name} is missing`);
    const [type, media] = Object.entries(response.content ?? {})[0] ?? [];
    if (type === undefined || media === undefined) return body === '' ? missing : [...missing, 'a body where none is'];
    const sent = String(headers['content-type']);
    if (sent !== `${type}; charset=utf-8`) return [...missing, `content type ${sent}`];
    const pointer = `${operation.pointer}/responses/${statusCode}/content/${escape(type)}/schema`;
    return [...missing, ...this.complaintsAbout(pointer, JSON.parse(body))];
  }
}

/** Every code that an operation's errors can have. */
export function documentedCodes(operation: Operation): DocumentedCode[] {
  return Object.entries(operation.responses).flatMap(([status, response]) =>
    codesIn(response, 'code').map((code) => ({ status: Number(status), code })),
  );
}

/** Every code that a field can have in an operation's 400. */
export function documentedFieldCodes(operation: Operation): string[] {
  const response = operation.responses['400'];
  return response === undefined ? [] : codesIn(response, 'errors');
}

/** The examples of a body, by name. */
export function examplesOf(media: Media): [name: string, value: unknown][] {
  const named = Object.entries(media.examples ?? {}).map(([name, { value }]): [string, unknown] => [name, value]);
  return media.example === undefined ? named : [['example', media.example], ...named];
}

/** The schema of the body's object; null for an operation without a body. */
export function bodySchemaOf({ requestBody }: Operation): JsonSchema | null {
  const schema = requestBody?.content['application/json'].schema;
  return schema?.anyOf?.find(({ type }) => type === 'object') ?? schema ?? null;
}
