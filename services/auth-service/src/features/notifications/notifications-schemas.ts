import { APP_TYPE_LENGTH_MAX, APP_TYPE_PATTERN, NotificationTextsSchema } from '@infrasignal/shared';
import { Type, type Static } from 'typebox';
import { IDEMPOTENCY_KEY_PATTERN } from '../../lib/idempotency-key.ts';

/**
 * Users of one request: each is a row that is locked, raised and written in one statement, a thousand of them in some
 * 50 ms. More would hold that many users' logins up; whoever has more to tell sends several requests.
 */
export const RECIPIENTS_MAX = 1_000;

/** Of `data` as JSON: a thousand copies of it are 4 MB of outbox and stream. What is larger belongs behind a link. */
export const DATA_BYTES_MAX = 4_096;

const UserId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

export const SendBodySchema = Type.Object(
  {
    to: Type.Union(
      [
        Type.Array(UserId, { minItems: 1, maxItems: RECIPIENTS_MAX, description: 'Ids of users; one named twice counts once.' }),
        Type.Literal('everybody'),
      ],
      { description: 'Whom to tell: these users (`notifications:send`), or `everybody` (`notifications:broadcast`).' },
    ),
    type: Type.String({
      pattern: APP_TYPE_PATTERN,
      maxLength: APP_TYPE_LENGTH_MAX,
      description: 'What it is, for programs: `app.` and one or more words in lower case.',
      examples: ['app.order_shipped'],
    }),
    messages: Type.Object(NotificationTextsSchema.properties, {
      additionalProperties: false,
      description: 'What it is, for people. Clients of the inherited protocol are shown the French text.',
    }),
    data: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: `What clients that know the type need beside the text; at most ${DATA_BYTES_MAX} bytes as JSON.`,
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [
      {
        to: [42, 43],
        type: 'app.order_shipped',
        messages: { fr: 'Votre commande est partie.', en: 'Your order has been shipped.' },
        data: { order_id: 'A-1042' },
      },
    ],
  },
);
export type SendBody = Static<typeof SendBodySchema>;

export const SendHeadersSchema = Type.Object({
  'Idempotency-Key': Type.String({
    pattern: IDEMPOTENCY_KEY_PATTERN,
    description:
      'A key of the sender’s own making, new for each notification (a UUID, say). A retry with the same key and the ' +
      'same body is answered like the first, and nobody is told twice. Kept for a day.',
    examples: ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
  }),
});

export const SentSchema = Type.Object(
  {
    notification_id: Type.String({ format: 'uuid' }),
    recipients: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: 'How many users will be told; null: everybody.',
    }),
    unknown_user_ids: Type.Array(Type.Integer({ minimum: 1 }), {
      description: 'Ids that are nobody’s: never given, or of a deleted account. The others are told all the same.',
    }),
  },
  {
    $id: 'SentNotification',
    additionalProperties: false,
    description: 'Committed: it will be told, whatever crashes.',
    examples: [
      { notification_id: '5b0d2c1e-8f6a-4b7c-9d3e-2a1f0e9d8c7b', recipients: 1, unknown_user_ids: [43] },
    ],
  },
);
