import {
  BroadcastFrameSchema,
  eventStreamName,
  frameDefinitions,
  NotificationFrameSchema,
  ProblemSchema,
} from '@infrasignal/shared';
import { pathOf, type RawAnswer } from '@infrasignal/testkit/fuzz';
import { Type, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** docs/protocol/http.md, “Past notifications” and the table of routes. */
const PageSchema = Type.Object(
  {
    notifications: Type.Array(Type.Union([NotificationFrameSchema, BroadcastFrameSchema])),
    cursor: Type.String({ minLength: 1 }),
    has_more: Type.Boolean(),
    evicted: Type.Boolean(),
  },
  { additionalProperties: false },
);
const PresenceSchema = Type.Object(
  {
    user_id: Type.Integer({ minimum: 1 }),
    is_online: Type.Boolean(),
    since: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
  },
  { additionalProperties: false },
);

type Complain = (body: string) => string | null;

function asJson(schema: TSchema): Complain {
  const validator = Compile(schema);
  return (body) => {
    const value: unknown = JSON.parse(body);
    return validator.Check(value) ? null : [...validator.Errors(value)].map(({ instancePath, message }) => `${instancePath} ${message}`).join(', ');
  };
}

const streamFrames = frameDefinitions.filter(({ sentOn }) => sentOn.includes('event-stream')).map(({ schema }) => Compile(schema));

/** docs/protocol/sse.md section 2: every event whole, named for its frame, and the frame one of the protocol. */
const complainAboutEvents: Complain = (body) => {
  const blocks = body.split('\n\n').slice(0, -1).filter((block) => /^data:/m.test(block));
  for (const block of blocks) {
    const [, data = ''] = /^data: (.*)$/m.exec(block) ?? [];
    const frame = JSON.parse(data) as { type: string };
    if (!streamFrames.some((validator) => validator.Check(frame))) return `no frame of the protocol: ${data}`;
    if (!block.includes(`event: ${eventStreamName(frame.type)}\n`)) return `another event than ${frame.type}: ${block}`;
  }
  return /^retry: \d+$/m.test(body) && blocks[0]?.includes('event: connected') === true ? null : 'a stream that begins otherwise';
};

const JSON_TYPE = 'application/json; charset=utf-8';

/** What each route says with a 2xx. */
const successes: readonly (readonly [path: RegExp, contentType: RegExp | string, complain: Complain])[] = [
  [/^\/api\/notifications$/, JSON_TYPE, asJson(PageSchema)],
  [/^\/api\/presence\/[^/]+$/, JSON_TYPE, asJson(PresenceSchema)],
  [/^\/sse\/notifications$/, 'text/event-stream; charset=utf-8', complainAboutEvents],
  [/^\/ws\/asyncapi\.json$/, JSON_TYPE, asJson(Type.Object({ asyncapi: Type.String() }))],
  [/^\/healthz$/, JSON_TYPE, asJson(Type.Object({ status: Type.Literal('ok') }))],
  [/^\/readyz$/, JSON_TYPE, asJson(Type.Object({ status: Type.Literal('ready') }))],
  [/^\/metrics$/, /^text\/plain; version=/, (body) => (body.includes('# TYPE infrasignal_connections gauge') ? null : 'no metrics')],
];

const complainAboutProblem = asJson(ProblemSchema);

/** What is wrong with the body of an answer by the schema that is declared for its path and status; null: nothing. */
export function complainAboutBody(bytes: Buffer, { status, headers, body }: RawAnswer, isHead: boolean): string | null {
  const asked = pathOf(bytes);
  if (status === 101) return asked?.path === '/ws/notifications' && asked.method === 'GET' ? null : `upgraded at ${asked?.path}`;
  if (status >= 400) return isHead ? null : complainAboutProblem(body);
  const [, contentType, complain] = successes.find(([path]) => asked !== null && path.test(asked.path)) ?? [];
  if (status !== 200 || contentType === undefined || complain === undefined) return `answered ${status} where nothing is: ${body.slice(0, 200)}`;
  const sent = headers.get('content-type') ?? '';
  if (typeof contentType === 'string' ? sent !== contentType : !contentType.test(sent)) return `answered as ${sent}`;
  return isHead ? null : complain(body);
}
