import { Type } from 'typebox';
import { dataSchemaUri, type EventDefinition } from './event-envelope.ts';

type SecurityEventDefinition = Omit<EventDefinition, 'inherited'>;

/** One wrong password was tried on many accounts. */
export const passwordSpraying = {
  type: 'security.password_spraying',
  version: 1,
  description: 'One wrong password was tried on many accounts within the window, at one instance.',
  data: Type.Object(
    {
      accounts: Type.Integer({ minimum: 1, description: 'On how many, when it was noticed.' }),
      window_seconds: Type.Integer({ minimum: 1 }),
    },
    { examples: [{ accounts: 20, window_seconds: 3600 }] },
  ),
} satisfies SecurityEventDefinition;

/** The password of an account was guessed at so often that it is not looked at any more. */
export const passwordDisabled = {
  type: 'security.password_disabled',
  version: 1,
  description:
    'A password was guessed at so often that it is not looked at any more; devices that logged in before still may.',
  data: Type.Object({ user_id: Type.Integer({ minimum: 1 }) }, { examples: [{ user_id: 42 }] }),
} satisfies SecurityEventDefinition;

export const securityEventDefinitions: readonly SecurityEventDefinition[] = [passwordSpraying, passwordDisabled];

/** One sign of an attack as it is stored in the stream, on the subject that its type is. */
export interface SecurityEventEnvelope {
  readonly specversion: '1.0';
  /** Unique for ever; also the broker's message id. */
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly dataschema: string;
  /** Gapless over all security events, from 1. */
  readonly seq: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Makes the envelope (CloudEvents 1.0) of one security event. */
export function toSecurityEnvelope(
  definition: Pick<SecurityEventDefinition, 'type' | 'version'>,
  { id, source, time, seq, data }: Pick<SecurityEventEnvelope, 'id' | 'source' | 'time' | 'seq' | 'data'>,
): SecurityEventEnvelope {
  return {
    specversion: '1.0',
    id,
    source,
    type: definition.type,
    time,
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri(definition),
    seq,
    data,
  };
}
