import { Type } from 'typebox';
import { dataSchemaUri, type EventDefinition } from './event-envelope.ts';

type PresenceEventDefinition = Omit<EventDefinition, 'inherited'>;

const data = Type.Object({ user_id: Type.Integer({ minimum: 1 }) }, { examples: [{ user_id: 42 }] });

/** A user without any connection has one now, on whatever node. */
export const userOnline = {
  type: 'user.online',
  version: 1,
  description: 'The user had no connection and has one now, on whatever node.',
  data,
} satisfies PresenceEventDefinition;

/** The last of a user's connections is gone and did not come back. */
export const userOffline = {
  type: 'user.offline',
  version: 1,
  description: 'The last connection of the user is gone, on whatever node, and none came back within the time of grace.',
  data,
} satisfies PresenceEventDefinition;

export const presenceEventDefinitions: readonly PresenceEventDefinition[] = [userOnline, userOffline];

/** One change of a user's presence as it is stored in the stream, on the subject of that user. Their order is its. */
export interface PresenceEventEnvelope {
  readonly specversion: '1.0';
  /** Unique for ever; also the broker's message id. */
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** `users/42` */
  readonly subject: string;
  /** When it was noticed, by the clock of the node that did. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly dataschema: string;
  readonly data: { readonly user_id: number };
}

/** Makes the envelope (CloudEvents 1.0) of one change. */
export function toPresenceEnvelope(
  isOnline: boolean,
  { id, source, time, userId }: Pick<PresenceEventEnvelope, 'id' | 'source' | 'time'> & { readonly userId: number },
): PresenceEventEnvelope {
  const definition = isOnline ? userOnline : userOffline;
  return {
    specversion: '1.0',
    id,
    source,
    type: definition.type,
    subject: `users/${userId}`,
    time,
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri(definition),
    data: { user_id: userId },
  };
}
