import { Type, type TSchema } from 'typebox';

/** What generated documents show as “…”. */
export const LATER_VALUES = 'Later releases may have more.';

/**
 * Makes a list of values that later releases may add to: a reader takes one that it does not know for “something
 * else”. With a closed list the same message would be invalid to the nodes of the release before, and reach nobody.
 */
export function withLaterValues<Known extends TSchema>(known: Known) {
  const later = Type.String({ pattern: '^[a-z][a-z0-9_]*$', maxLength: 64, description: LATER_VALUES });
  return Type.Union([known, later]);
}
