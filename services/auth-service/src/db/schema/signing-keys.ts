import { customType, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/** Public part of an Ed25519 key (RFC 8037). */
export interface PublicJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
}

/** Keys that access tokens are signed with. */
export const signingKeys = pgTable('signing_keys', {
  /** RFC 7638 thumbprint of the public part. */
  kid: text('kid').primaryKey(),
  publicJwk: jsonb('public_jwk').notNull().$type<PublicJwk>(),
  /** The PKCS#8 private part under AES-256-GCM with a key derived from SECRET_KEY: nonce, tag, ciphertext. */
  privateKeyEncrypted: bytea('private_key_encrypted').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  /** No longer signs from here on; its tokens verify until they expire. Null: signs. */
  retiredAt: timestamp('retired_at', { withTimezone: true }),
});
