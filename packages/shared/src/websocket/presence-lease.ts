import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

/** Users of a node are told in so many parts, by `user_id` modulo: a change then repeats a part, not everybody. */
export const PRESENCE_PARTS = 64;

/** 100,000 ids of a part are 0.9 MB at most, below the broker's 1 MiB for a message: 6.4 million users of one node. */
const USERS_MAX = 100_000;

/**
 * What one notify node says of the users that are connected to it: all of one part of them. It holds for a lease, and
 * is renewed in time for as long as it is true; who does not hear it again knows that it has ended.
 */
export const PresenceLeaseSchema = Type.Object(
  {
    node: Type.String({ format: 'uuid', description: 'The process, anew at each start.' }),
    part: Type.Integer({ minimum: 0, maximum: PRESENCE_PARTS - 1 }),
    user_ids: Type.Array(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), { maxItems: USERS_MAX }),
  },
  { $id: 'PresenceLease', additionalProperties: true },
);
export type PresenceLease = Static<typeof PresenceLeaseSchema>;

const validator = Compile(PresenceLeaseSchema);

/** Reads a lease; null for anything else that came on the subject. */
export function parsePresenceLease(text: string): PresenceLease | null {
  try {
    const value: unknown = JSON.parse(text);
    return validator.Check(value) ? value : null;
  } catch {
    return null;
  }
}
