import { isKnownTag, toEntityTag } from '@infrasignal/service-kit';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { buildAsyncApiDocument } from './asyncapi-document.ts';

/** A change of the protocol shows to those who keep the document within a minute. */
const MAX_AGE_SECONDS = 60;

async function asyncapi(app: FastifyInstance, { version }: { readonly version: string }): Promise<void> {
  let rendered: { body: string; tag: string } | null = null;
  app.get('/ws/asyncapi.json', async (request, reply) => {
    if (rendered === null) {
      const body = JSON.stringify(buildAsyncApiDocument(version));
      rendered = { body, tag: toEntityTag(body) };
    }
    reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).header('etag', rendered.tag);
    if (isKnownTag(request.headers['if-none-match'], rendered.tag)) return reply.code(304).send();
    return reply.type('application/json; charset=utf-8').send(rendered.body);
  });
}

/** `GET /ws/asyncapi.json`: the AsyncAPI 3 document of sockets, event streams and broker subjects. */
export const asyncapiPlugin = fp(asyncapi, { name: 'asyncapi', fastify: '5.x' });
