import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { DeviceTokens, type KnownDevice } from '../lib/device-tokens.ts';

export interface KnownDevicesOptions {
  /** The first signs, all verify. */
  readonly secretKeys: readonly [string, ...string[]];
  /** Plain http, where a browser refuses Secure cookies and the `__Host-` names that need them. */
  readonly isDebug: boolean;
}

/** How a device that logged in before is recognised when it logs in again. */
export interface KnownDevices {
  /** By its cookie, or by `X-Device-Token`; null for a stranger. */
  find(request: FastifyRequest): KnownDevice | null;
  /** Makes the device known as this user's: sets the cookie. @returns the token, for clients without cookies */
  remember(request: FastifyRequest, reply: FastifyReply, login: { userId: number; sessionId: string }): string;
}

declare module 'fastify' {
  interface FastifyInstance {
    knownDevices: KnownDevices;
  }
}

/** 400 days: browsers keep no cookie longer (RFC 6265bis section 5.5); each login begins them anew. */
const COOKIE_MAX_AGE_SECONDS = 400 * 86_400;

async function knownDevices(app: FastifyInstance, { secretKeys, isDebug }: KnownDevicesOptions): Promise<void> {
  const tokens = new DeviceTokens(secretKeys);
  const cookieName = isDebug ? 'infrasignal_device' : '__Host-infrasignal_device';

  const find: KnownDevices['find'] = (request) => {
    const header = request.headers['x-device-token'];
    const token = typeof header === 'string' ? header : request.cookies[cookieName];
    return token === undefined ? null : tokens.decode(token);
  };
  const remember: KnownDevices['remember'] = (request, reply, login) => {
    const token = tokens.encode(find(request), login);
    // Also for clients that hold their tokens themselves: a page of the original sends it without knowing of it.
    reply.setCookie(cookieName, token, {
      path: '/',
      secure: !isDebug,
      sameSite: 'strict',
      httpOnly: true,
      maxAge: COOKIE_MAX_AGE_SECONDS,
    });
    return token;
  };
  app.decorate('knownDevices', { find, remember });
}

/**
 * `app.knownDevices`: who failed to log in from elsewhere must not keep out the device that its user logs in from. A
 * device stays known over a logout.
 */
export const knownDevicesPlugin = fp(knownDevices, {
  name: 'known-devices',
  dependencies: ['browser-session'],
  fastify: '5.x',
});
