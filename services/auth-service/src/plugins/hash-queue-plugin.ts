import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler, preHandlerAsyncHookHandler } from 'fastify';
import fp from 'fastify-plugin';
import type { HashPlace, HashQueue } from '../lib/hash-queue.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True for a route that hashes a password: its requests take a place in the queue, or are refused at once. */
    hashesPassword?: boolean;
  }
  interface FastifyRequest {
    hashPlace: HashPlace | null;
  }
}

export interface HashQueueOptions {
  readonly hashQueue: HashQueue;
}

/** The place of a request. @throws Error on a route that forgot `config: { hashesPassword: true }` */
export function getHashPlace(request: FastifyRequest): HashPlace {
  if (request.hashPlace === null) throw new Error(`${request.url} hashes but has no place in the queue`);
  return request.hashPlace;
}

function before<Hook>(hook: Hook, hooks: Hook | Hook[] | undefined): Hook[] {
  return [hook, ...(hooks === undefined ? [] : [hooks].flat())] as Hook[];
}

async function hashQueueRoutes(app: FastifyInstance, { hashQueue }: HashQueueOptions): Promise<void> {
  app.decorateRequest('hashPlace', null);

  // As soon as the head of a request is read: its body, its schema and the database cost more than the refusal.
  const refuse: onRequestAsyncHookHandler = async () => {
    hashQueue.assertRoom();
  };
  // Not before the body is there: one that never comes would keep the place.
  const takePlace: preHandlerAsyncHookHandler = async (request, reply) => {
    const place = hashQueue.takePlace();
    request.hashPlace = place;
    // Answered, or the client has gone.
    reply.raw.once('close', () => {
      place.release();
    });
  };
  app.addHook('onRoute', (route) => {
    if (route.config?.hashesPassword !== true) return;
    route.onRequest = before(refuse, route.onRequest as onRequestAsyncHookHandler);
    route.preHandler = before(takePlace, route.preHandler as preHandlerAsyncHookHandler);
  });
}

/**
 * Bounds the routes that hash passwords (`config: { hashesPassword: true }`); their handlers find what they need with
 * `getHashPlace(request)`. What is refused here is refused before anything is known of the account, so that the refusal
 * and its time tell nothing about it.
 */
export const hashQueuePlugin = fp(hashQueueRoutes, { name: 'hash-queue', fastify: '5.x' });
