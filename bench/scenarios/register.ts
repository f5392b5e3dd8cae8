import { openClients, PASSWORD, toPhoneNumber } from '../load/account-client.ts';
import type { BenchScenario } from '../scenario.ts';
import {
  askBetterAuth,
  checkEvents,
  comparePasswords,
  openPeerConnections,
  passwordOptions,
  toEmail,
  type PasswordScene,
  type RequestSide,
} from './password-comparison.ts';

async function createOurs({ context, bench, concurrency }: PasswordScene): Promise<RequestSide> {
  const clients = await openClients(context.t, bench.authUrls, concurrency);
  let count = 0;
  return {
    perform: async (worker) => {
      await clients[worker]?.register(toPhoneNumber(count++));
    },
    check: () => checkEvents(bench, count),
  };
}

async function createBetterAuth(scene: PasswordScene, peerUrl: string): Promise<RequestSide> {
  const connections = await openPeerConnections(scene, peerUrl);
  let count = 0;
  return {
    perform: (worker) => {
      const body = { email: toEmail(count++), password: PASSWORD, name: 'Somebody' };
      return askBetterAuth(connections[worker], 'sign-up/email', body);
    },
    check: () => Promise.resolve([]),
  };
}

export const register: BenchScenario = {
  name: 'register',
  description: 'registrations a second, beside the hasher alone and better-auth with the same hasher',
  options: passwordOptions,
  run: (context) =>
    comparePasswords(context, {
      headline: { row: 2, figure: 'registrations/s ÷ the bare hasher’s hashes/s', target: 0.8 },
      work: 'hash',
      plural: 'registrations',
      createOurs,
      createBetterAuth,
    }),
};
