import { createHmac, timingSafeEqual } from 'node:crypto';
import { deriveKeys } from './derived-key.ts';

/** A device, or a browser, that logged in before. */
export interface KnownDevice {
  /** Says nothing about the device. */
  readonly id: string;
  /** Whose password it knew, the latest first. */
  readonly userIds: readonly number[];
}

const PURPOSE = 'device tokens v1';

/** 128 bits: nobody has another's by chance. */
const ID_BYTES = 16;

/** A family shares a browser; more than these few are a public terminal, which nobody should be known by. */
const USERS_MAX = 5;

const tokenExpression = /^d1\.([A-Za-z0-9_-]{22})\.([1-9]\d{0,15}(?:-[1-9]\d{0,15}){0,4})\.([A-Za-z0-9_-]{43})$/;

function mac(key: Buffer, body: string): Buffer {
  return createHmac('sha256', key).update(body).digest();
}

/**
 * Device tokens `d1.<device>.<users>.<mac>`: proof that somebody with this token once logged in as these users (OWASP,
 * "Slow down online guessing attacks with device cookies"). They let nobody in: whoever has one is counted apart when
 * passwords are guessed. Nothing is stored, and they do not expire.
 */
export class DeviceTokens {
  readonly #keys: readonly [Buffer, ...Buffer[]];

  /** @param secretKeys the first signs, all verify */
  constructor(secretKeys: readonly [string, ...string[]]) {
    this.#keys = deriveKeys(secretKeys, PURPOSE);
  }

  /**
   * The token for a device that just logged in.
   * @param known what it was before; null: a stranger, who is named after the session, so that the answer to a
   *   registration that is sent again is the same
   */
  encode(known: KnownDevice | null, { userId, sessionId }: { userId: number; sessionId: string }): string {
    const id = known?.id ?? mac(this.#keys[0], `device ${sessionId}`).subarray(0, ID_BYTES).toString('base64url');
    const others = known?.userIds.filter((other) => other !== userId) ?? [];
    const body = `d1.${id}.${[userId, ...others].slice(0, USERS_MAX).join('-')}`;
    return `${body}.${mac(this.#keys[0], body).toString('base64url')}`;
  }

  /** @returns null for anything that this service did not make */
  decode(token: string): KnownDevice | null {
    const [, id, users, code] = tokenExpression.exec(token) ?? [];
    if (id === undefined || users === undefined || code === undefined) return null;
    const given = Buffer.from(code, 'base64url');
    const body = `d1.${id}.${users}`;
    if (!this.#keys.some((key) => timingSafeEqual(mac(key, body), given))) return null;
    return { id, userIds: users.split('-').map(Number) };
  }
}
