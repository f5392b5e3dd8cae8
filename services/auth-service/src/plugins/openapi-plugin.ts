import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import { isKnownTag, toEntityTag } from '@infrasignal/service-kit';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { Type } from 'typebox';
import { cookieNames } from './browser-session-plugin.ts';
import { completeDocument, describeRoute, renderIntroduction } from './openapi-document.ts';
import { publicRoute, securitySchemes } from './openapi-security.ts';

/** A change of the API shows to those who keep the document within a minute. */
const MAX_AGE_SECONDS = 60;

/** The page needs its own scripts and styles, `data:` for its icons, and the document; nothing else, nothing inline. */
const PAGE_SECURITY_POLICY = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self' data:",
  'connect-src': "'self'",
  'frame-ancestors': "'none'",
  'base-uri': "'none'",
  'form-action': "'none'",
};

const tags = [
  { name: 'Accounts', description: 'One person, one account: made, read, changed, taken away, removed.' },
  { name: 'Sessions', description: 'Logins, the tokens that stand for them, and their end.' },
  { name: 'Passwords', description: 'The password of an account.' },
  { name: 'Services', description: 'Tokens for services of other teams.' },
  { name: 'Keys', description: 'What verifiers of access tokens need.' },
  { name: 'Documentation', description: 'This document.' },
];

const DocumentSchema = Type.Object(
  { openapi: Type.String({ examples: ['3.1.0'] }) },
  { additionalProperties: true, description: 'An OpenAPI 3.1 document.' },
);

/** `GET /api/openapi.json`, rendered at the first request and kept. */
function serveDocument(app: FastifyInstance): void {
  let rendered: { body: string; tag: string } | null = null;
  const schema = {
    operationId: 'getApiDescription',
    summary: 'This document',
    tags: ['Documentation'],
    security: publicRoute,
    response: { 200: DocumentSchema, 304: Type.Null({ description: 'It is the one that `If-None-Match` names.' }) },
  };
  app.get('/api/openapi.json', { schema }, async (request, reply) => {
    if (rendered === null) {
      const body = JSON.stringify(app.swagger());
      rendered = { body, tag: toEntityTag(body) };
    }
    reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).header('etag', rendered.tag);
    if (isKnownTag(request.headers['if-none-match'], rendered.tag)) return reply.code(304).send(null);
    return reply.type('application/json; charset=utf-8').send(rendered.body);
  });
}

export interface OpenApiOptions {
  readonly isDebug: boolean;
  readonly version: string;
}

async function openapi(app: FastifyInstance, { isDebug, version }: OpenApiOptions): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'infraSignal',
        version,
        description: renderIntroduction(),
        license: { name: 'MIT', identifier: 'MIT' },
      },
      // The origin that the document was fetched from.
      servers: [{ url: '/' }],
      tags,
      components: { securitySchemes: securitySchemes(cookieNames(isDebug)) as Record<string, never> },
    },
    convertConstToEnum: false,
    // A route without tags serves the service itself (probes, preflights), not its callers.
    hideUntagged: true,
    transform: describeRoute,
    transformObject: completeDocument,
  });
  serveDocument(app);
  await app.register(fastifySwaggerUi, {
    routePrefix: '/api/docs',
    staticCSP: PAGE_SECURITY_POLICY,
    theme: { title: 'infraSignal API' },
    uiConfig: { layout: 'BaseLayout', deepLinking: true, docExpansion: 'list', tryItOutEnabled: false },
  });
}

/** The OpenAPI 3.1 document of all routes registered after it, and at `/api/docs/` a page to browse it with. */
export const openapiPlugin = fp(openapi, { name: 'openapi', fastify: '5.x' });
