import { ProblemError } from '@infrasignal/service-kit';
import { commonErrors, fieldErrors, type ErrorDefinition } from '@infrasignal/shared';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { checkQuery, notReady, readAfter, readBearer, type Query } from '../gateway/handshake.ts';
import { textOf } from '../gateway/text-frame.ts';
import type { Audience } from '../hub/ports.ts';
import { JoinAbandonedError, type LogView } from '../relay/resume.ts';
import { ReadRefusedError } from '../relay/shared-reads.ts';
import { StreamUnreadableError } from '../relay/stream-reader.ts';
import { FeedHistory } from './feed-history.ts';
import { historyErrors } from './history-errors.ts';
import { OwnHistory } from './own-history.ts';
import type { Page, PageQuery } from './page.ts';

const ROUTE = '/api/notifications';

/** Events in a page. Larger makes answers that take long on a phone; smaller costs a request for every few. */
const LIMIT_MAX = 100;
const LIMIT_DEFAULT = 50;

const LIMIT_EXPRESSION = /^[1-9]\d{0,2}$/;

/** What a client that is refused for now should wait, in whole seconds: a broker restart takes about as long. */
const RETRY_AFTER_SECONDS = 1;

const BEGINNING = Buffer.from('{"notifications":[');
const COMMA = Buffer.from(',');
const EMPTY = Buffer.alloc(0);

const PARAMETERS = new Set(['after', 'limit']);

function refuse(parameter: string, { code, detail }: ErrorDefinition): never {
  throw new ProblemError(commonErrors.invalid_request, { errors: [{ pointer: `/${parameter}`, code, detail }] });
}

function readLimit({ limit }: Query): number {
  if (limit === undefined) return LIMIT_DEFAULT;
  if (typeof limit !== 'string' || !LIMIT_EXPRESSION.test(limit)) return refuse('limit', fieldErrors.invalid_format);
  return Number(limit) > LIMIT_MAX ? refuse('limit', fieldErrors.invalid_value) : Number(limit);
}

/** @throws ProblemError 400 for a parameter that does not exist, and for a token where there should be none */
function checkParameters(query: Query): void {
  checkQuery(query);
  const unknown = Object.keys(query).find((name) => !PARAMETERS.has(name));
  if (unknown !== undefined) refuse(unknown.slice(0, 64), fieldErrors.unknown_field);
}

/** The events are serialised already, and the same bytes go to sockets: the answer is put together around them. */
function render({ entries, cursor, hasMore, isEvicted }: Page, form: 'own' | 'feed'): Buffer {
  const parts: Uint8Array[] = [];
  for (const { event, stand } of entries) {
    const frame = event.frame(form, stand);
    if (frame !== null) parts.push(parts.length === 0 ? EMPTY : COMMA, textOf(frame));
  }
  const end = JSON.stringify({ cursor, has_more: hasMore, evicted: isEvicted }).slice(1);
  return Buffer.concat([BEGINNING, ...parts, Buffer.from(`],${end}`)]);
}

async function history(app: FastifyInstance): Promise<void> {
  const { eventConsumer, hub, ownResume, sharedReader, userResume } = app;
  const { admission, gate } = app.connectionContext;
  const ownHistory = new OwnHistory({ reader: sharedReader, ownResume, userResume, hub });
  const feedHistory = new FeedHistory(sharedReader);

  function viewLog(): LogView {
    const { anchor, readThrough } = eventConsumer;
    return { anchor, readThrough, broadcastSeq: hub.broadcasts.newestSeq };
  }

  /** As a socket would be let in: the same token, the same node that knows who is not, the same pace. */
  async function admit(request: FastifyRequest): Promise<void> {
    const { headers, ip: address } = request;
    gate.check(address);
    checkParameters(request.query as Query);
    const token = readBearer(headers.authorization);
    request.listener = await admission.admit({ token, address, origin: headers.origin, hasControlFrames: true });
  }

  async function read({ audience }: { readonly audience: Audience }, query: PageQuery): Promise<Page> {
    const { generation } = sharedReader.recent;
    try {
      const page = await (audience.kind === 'everything'
        ? feedHistory.read(query)
        : ownHistory.read(audience.userId, query));
      if (page === 'unknown_cursor') throw new ProblemError(historyErrors.unknown_cursor);
      // Half of it may be of the log as it was, and half of the log as it is.
      if (sharedReader.recent.generation !== generation) throw new StreamUnreadableError();
      return page;
    } catch (error) {
      const isForNow = [StreamUnreadableError, ReadRefusedError, JoinAbandonedError].some((kind) => error instanceof kind);
      throw isForNow ? notReady(RETRY_AFTER_SECONDS) : error;
    }
  }

  app.route({
    method: 'GET',
    url: ROUTE,
    onRequest: admit,
    handler: async (request, reply) => {
      const { listener } = request;
      if (listener === null) throw new Error('a page was asked for by nobody who was let in');
      const query = request.query as Query;
      const page = await read(listener, {
        after: readAfter(query),
        limit: readLimit(query),
        log: viewLog(),
        isWanted: () => !reply.raw.destroyed,
      });
      const form = listener.audience.kind === 'everything' ? 'feed' : 'own';
      return reply
        .headers({ 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
        .send(render(page, form));
    },
  });
}

/** `GET /api/notifications/`: what was told before, page by page. */
export const historyPlugin = fp(history, { name: 'history', fastify: '5.x', dependencies: ['gateway', 'realtime'] });
