import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

/** Sockets in one announcement: 30 bytes each, far below the broker's 1 MiB for a message. */
export const ANNOUNCED_SOCKETS_MAX = 5_000;

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const UserId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/**
 * What one notify node tells the others of its users' sockets, so that together they keep to the number that one user
 * may have. Sent when something changed and as a sign of life; lost ones are noticed by `number`.
 */
export const SocketAnnouncementSchema = Type.Object(
  {
    node: Type.String({ format: 'uuid', description: 'The process, anew at each start.' }),
    number: Type.Integer({ minimum: 1, description: 'Counts this node’s announcements.' }),
    at: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'The node’s logical time.' }),
    opened: Type.Array(Type.Tuple([UserId, Count, Count]), {
      maxItems: ANNOUNCED_SOCKETS_MAX,
      description: 'User, number of the socket at this node, logical time of its opening.',
    }),
    closed: Type.Array(Type.Tuple([UserId, Count]), { maxItems: ANNOUNCED_SOCKETS_MAX }),
  },
  { $id: 'SocketAnnouncement', additionalProperties: true },
);
export type SocketAnnouncement = Static<typeof SocketAnnouncementSchema>;

const validator = Compile(SocketAnnouncementSchema);

/** Reads an announcement; null for anything else that came on the subject. */
export function parseSocketAnnouncement(text: string): SocketAnnouncement | null {
  try {
    const value: unknown = JSON.parse(text);
    return validator.Check(value) ? value : null;
  } catch {
    return null;
  }
}
