import { toAddressKey } from '@infrasignal/service-kit';
import { createHmac } from 'node:crypto';
import { deriveKey } from '../../lib/derived-key.ts';

const PURPOSE = 'login attempts v1';

/** 128 bits, 22 characters: no two of any number of keys collide, and a row stays short. */
const KEY_BYTES = 16;

/** Whoever is not known, all of them together. */
export const STRANGERS = '';

/**
 * The names under which attempts are counted: keyed hashes, so that the tables hold neither numbers nor addresses,
 * of strangers least of all. A new SECRET_KEY makes other names: counts then begin again.
 */
export class AttemptKeys {
  readonly #key: Buffer;

  constructor(secretKey: string) {
    this.#key = deriveKey(secretKey, PURPOSE);
  }

  /** An account by its E.164 number, whether or not there is one. */
  account(phoneNumberE164: string): string {
    return this.#mac('account', phoneNumberE164);
  }

  /** A service's account, which has no number. */
  accountOfService(userId: number): string {
    return this.#mac('service', String(userId));
  }

  device(deviceId: string): string {
    return this.#mac('device', deviceId);
  }

  session(sessionId: string): string {
    return this.#mac('session', sessionId);
  }

  /** An address's budget for one kind of use. IPv6 by its first 64 bits: one customer has that many to choose from. */
  address(use: 'login' | 'registration', address: string): string {
    return this.#mac(`address ${use}`, toAddressKey(address));
  }

  #mac(kind: string, name: string): string {
    const digest = createHmac('sha256', this.#key).update(`${kind}\0${name}`).digest();
    return digest.subarray(0, KEY_BYTES).toString('base64url');
  }
}
