import { createHash } from 'node:crypto';

/** A strong validator (RFC 9110 section 8.8.3) of a body: other text, other tag. */
export function toEntityTag(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url')}"`;
}

/** True if `If-None-Match` names the tag, alone or in a list, weakened by a proxy or not (RFC 9110 section 13.1.2). */
export function isKnownTag(ifNoneMatch: string | undefined, tag: string): boolean {
  const names = ifNoneMatch?.split(',').map((name) => name.trim().replace(/^W\//, '')) ?? [];
  return names.includes(tag) || names.includes('*');
}
