/**
 * If this breaks: a signing key that was withdrawn because it was stolen goes on opening sockets, for whoever was quick
 * enough to get a ticket.
 */
import { AccessTokenVerifier } from '@infrasignal/token-verifier';
import { TokenIssuer } from '@infrasignal/testkit';
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import t from 'tap';
import { AdmissionControl } from '../../src/gateway/admission.ts';
import { createGatewayStats } from '../../src/gateway/gateway-stats.ts';
import { ReconnectTickets } from '../../src/gateway/reconnect-tickets.ts';

t.test('R3 a ticket does not outlive the key that its token was signed with', async (t) => {
  const issuer = await TokenIssuer.start(t);
  const keySet = (await (await fetch(issuer.url)).json()) as { keys: (JsonWebKey & { kid: string })[] };
  const published = new Map(
    keySet.keys.map((key) => {
      const pem = createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString();
      return [key.kid, pem];
    }),
  );
  const keys = { isLoaded: true, find: async (kid: string) => published.get(kid) ?? null };
  const stats = createGatewayStats();
  const admission = new AdmissionControl({
    accessTokens: new AccessTokenVerifier({ issuer: 'infrasignal', audience: 'infrasignal', keys }),
    keys,
    tickets: new ReconnectTickets([]),
    stats,
    consumer: { isReady: true },
    hub: { isRevoked: () => false },
    timers: { timeOfDay: Date.now },
    allowedOrigins: [],
    hasPublicFeed: false,
  });
  const applicant = { token: issuer.token(1), address: '192.0.2.1', origin: undefined, hasControlFrames: true };
  const { ticket } = await admission.admit(applicant);
  t.match(await admission.admit({ ...applicant, ticket }), { userId: 1, ticket });
  t.same([...stats.tickets], [['accepted', 1]]);
  published.clear();
  const refusal = await admission.admit({ ...applicant, ticket }).catch((error: unknown) => error);
  t.match(refusal, { definition: { code: 'invalid_token' } });
  t.same([...stats.tickets], [['accepted', 1], ['unknown', 1]]);
});
