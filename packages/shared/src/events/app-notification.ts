import { Type, type Static } from 'typebox';
import { defineEvent } from './event-envelope.ts';

/**
 * Types of notifications that services send: `app.` and at least one more word, so that none can pass for an event of
 * the account (`user.login`). Under 65 characters, half of what any type may have: it is a name, not a message.
 */
export const APP_TYPE_PATTERN = '^app(\\.[a-z][a-z0-9_]*)+$';
export const APP_TYPE_LENGTH_MAX = 64;

/** One text of a notification: 500 characters are five lines of a phone; a longer one belongs behind a link. */
export const NOTIFICATION_TEXT_LENGTH_MAX = 500;

/** A notification's texts, in the two languages that every client of this system has. */
export const NotificationTextsSchema = Type.Object(
  {
    fr: Type.String({ minLength: 1, maxLength: NOTIFICATION_TEXT_LENGTH_MAX }),
    en: Type.String({ minLength: 1, maxLength: NOTIFICATION_TEXT_LENGTH_MAX }),
  },
  { additionalProperties: false },
);
export type NotificationTexts = Static<typeof NotificationTextsSchema>;

/**
 * A service told a user, or everybody, something of its own. One definition for all types that begin with `app.`: what
 * `data` holds is between the service and the clients that know the type.
 */
export const appNotification = defineEvent({
  type: 'app.*',
  version: 1,
  description: 'A service told a user, or everybody, something of its own (POST /api/notifications/).',
  data: Type.Object(
    {
      notification_id: Type.String({ format: 'uuid', description: 'What the sender was answered, whoever receives it.' }),
      user_id: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()], { description: 'Null: everybody.' }),
      phone_number: Type.Union([Type.String({ minLength: 1, maxLength: 64 }), Type.Null()]),
      messages: NotificationTextsSchema,
      data: Type.Record(Type.String(), Type.Unknown(), { description: 'As the service sent it.' }),
    },
    {
      examples: [
        {
          notification_id: '5b0d2c1e-8f6a-4b7c-9d3e-2a1f0e9d8c7b',
          user_id: 42,
          phone_number: '0123456789',
          messages: { fr: 'Votre commande est partie.', en: 'Your order has been shipped.' },
          data: { order_id: 'A-1042' },
        },
        {
          notification_id: '0c4e6a82-1b3d-4f5a-8c7e-9d0b2f4a6c8e',
          user_id: null,
          phone_number: null,
          messages: { fr: 'Maintenance ce soir à 22 h.', en: 'Maintenance tonight at 10 p.m.' },
          data: { from: '2026-01-01T21:00:00.000Z' },
        },
      ],
    },
  ),
  inherited: null,
});
export type AppNotificationData = Static<typeof appNotification.data>;

const typeExpression = new RegExp(APP_TYPE_PATTERN);

/** True for a type that services may send. */
export function isAppType(type: string): boolean {
  return type.length <= APP_TYPE_LENGTH_MAX && typeExpression.test(type);
}
