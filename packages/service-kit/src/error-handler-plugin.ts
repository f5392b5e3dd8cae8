import { commonErrors, toProblem, type ErrorDefinition } from '@infrasignal/shared';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { ProblemError } from './problem-error.ts';
import { allowedMethods, collectRoutes } from './route-methods.ts';
import { toFieldProblems } from './validation-problems.ts';

/** Fastify's own errors that are the caller's doing; every other one is ours (500). */
const definitionByFastifyCode: ReadonlyMap<string, ErrorDefinition> = new Map(
  Object.entries({
    FST_ERR_CTP_INVALID_MEDIA_TYPE: commonErrors.unsupported_media_type,
    FST_ERR_CTP_INVALID_TYPE: commonErrors.unsupported_media_type,
    FST_ERR_CTP_EMPTY_JSON_BODY: commonErrors.malformed_body,
    FST_ERR_CTP_INVALID_JSON_BODY: commonErrors.malformed_body,
    FST_ERR_CTP_INVALID_CONTENT_LENGTH: commonErrors.malformed_body,
    FST_ERR_CTP_BODY_TOO_LARGE: commonErrors.payload_too_large,
    FST_ERR_BAD_URL: commonErrors.not_found,
    FST_ERR_ROUTE_MISSING_CONTENT_TYPE: commonErrors.unsupported_media_type,
  }),
);

export interface ErrorHandlerOptions {
  /** Turns errors that only the service knows (its database's) into problems; null for those it does not know. */
  readonly translate?: (error: Error) => ProblemError | null;
}

function isCallersFault({ statusCode }: FastifyError): boolean {
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500;
}

function toProblemError(thrown: unknown, { translate }: ErrorHandlerOptions): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  // Anything can be thrown: what is no error has nothing to look at.
  if (!(thrown instanceof Error)) return new ProblemError(commonErrors.internal_error, { cause: thrown });
  const error = thrown as FastifyError;
  if (error.validation !== undefined) {
    return new ProblemError(commonErrors.invalid_request, { errors: toFieldProblems(error.validation), cause: error });
  }
  const definition = definitionByFastifyCode.get(error.code);
  if (definition !== undefined) return new ProblemError(definition, { cause: error });
  // A body that broke off: its stream's error carries a 4xx, whatever its system code looks like.
  if (isCallersFault(error)) return new ProblemError(commonErrors.malformed_body, { cause: error });
  return translate?.(error) ?? new ProblemError(commonErrors.internal_error, { cause: error });
}

/** The path alone: a query string can hold what must not be repeated. */
function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}

function sendProblem(request: FastifyRequest, reply: FastifyReply, error: ProblemError): FastifyReply {
  const { definition, errors } = error;
  const problem = toProblem(definition, {
    instance: pathOf(request),
    requestId: request.id,
    // What a 5xx says is fixed text: its cause is for the log, never for the caller.
    detail: definition.status >= 500 ? definition.detail : error.message,
    ...(errors === undefined ? {} : { errors }),
  });
  // RFC 9110 section 15.5.2: a 401 says how to do better. A problem that knows more brings a challenge of its own.
  if (definition.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(definition.status)
    .headers(error.headers)
    .header('cache-control', 'no-store')
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem));
}

async function errorHandler(app: FastifyInstance, options: ErrorHandlerOptions): Promise<void> {
  const routes = collectRoutes(app);

  app.setErrorHandler((error, request, reply) => {
    const problem = toProblemError(error, options);
    // Without a cause nothing failed: the service refused, because it is overloaded or not ready. Whoever refuses
    // counts it; a line with a stack for each would cost more than the refusal saves.
    const isRefusal = problem.cause === undefined && problem.definition !== commonErrors.internal_error;
    if (problem.definition.status >= 500 && !isRefusal) request.log.error({ err: error }, 'request failed');
    return sendProblem(request, reply, problem);
  });

  app.setNotFoundHandler((request, reply) => {
    const methods = allowedMethods(routes, pathOf(request));
    if (methods.length === 0) return sendProblem(request, reply, new ProblemError(commonErrors.not_found));
    const headers = { allow: methods.join(', ') };
    return sendProblem(request, reply, new ProblemError(commonErrors.method_not_allowed, { headers }));
  });
}

/** Makes every error of the service application/problem+json, 404 and 405 included. Register it before the routes. */
export const errorHandlerPlugin = fp(errorHandler, { name: 'error-handler', fastify: '5.x' });
