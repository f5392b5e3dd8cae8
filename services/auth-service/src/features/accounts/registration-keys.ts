import { createHmac } from 'node:crypto';
import { deriveKeys } from '../../lib/derived-key.ts';
import { readIdempotencyKey } from '../../lib/idempotency-key.ts';

const PURPOSE = 'registration keys v1';

/** What a retry must repeat besides the password, which is compared with the account's own hash. */
export interface RetryableRequest {
  readonly phone_number: string;
  readonly email?: string | null | undefined;
}

/** What is stored of a key and of the request that it came with. */
export interface RegistrationKey {
  readonly keyMac: string;
  readonly requestMac: string;
}

/**
 * Makes what recognises a retry. Both values are HMACs with a key derived from SECRET_KEY: a dump of the database tells
 * neither the client's key nor anything of the request, and the password is in neither of them, so that not even
 * SECRET_KEY makes of them something to try passwords on.
 */
export class RegistrationKeys {
  readonly #keys: readonly [Buffer, ...Buffer[]];

  /** @param secretKeys the first makes, all recognise: a retry over a change of SECRET_KEY is still one */
  constructor(secretKeys: readonly [string, ...string[]]) {
    this.#keys = deriveKeys(secretKeys, PURPOSE);
  }

  /** What a request with this key is stored as, and after it what an earlier SECRET_KEY would have stored it as. */
  encode(header: string, request: RetryableRequest): readonly [RegistrationKey, ...RegistrationKey[]] {
    const name = readIdempotencyKey(header);
    const [first, ...others] = this.#keys;
    const encode = (key: Buffer): RegistrationKey => {
      const mac = (...parts: unknown[]): string =>
        createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url');
      // As it was written: the answer repeats the number so. An absent address and `null` are one request.
      const requestMac = mac('request', name, request.phone_number, request.email ?? null);
      return { keyMac: mac('key', name), requestMac };
    };
    return [encode(first), ...others.map(encode)];
  }
}
