import { defineErrors } from '@infrasignal/shared';

/**
 * Of `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): 8 characters at least, because whoever counts
 * 1, 2, 3 would meet the keys of everybody else who does; 128 at most is four UUIDs. The draft wants a structured-field
 * string, with quotes; the many clients that leave them out mean the same key.
 */
export const IDEMPOTENCY_KEY_PATTERN = '^(?:"[A-Za-z0-9._~:+/=-]{8,128}"|[A-Za-z0-9._~:+/=-]{8,128})$';

export const idempotencyErrors = defineErrors({
  idempotency_key_reused: [
    422,
    'Idempotency key reused',
    'This key came with another request before. Take a new key for a new request, and the same one for a retry only.',
  ],
});

/** The key that a header names, which {@link IDEMPOTENCY_KEY_PATTERN} has accepted. */
export function readIdempotencyKey(header: string): string {
  return header.replace(/^"|"$/g, '');
}
