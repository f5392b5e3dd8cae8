import { openClients, PASSWORD, readTokens, registerMany } from '../load/account-client.ts';
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

/** Accounts of each worker: it goes through them in turn, so that no two logins ever want the same row. */
const ACCOUNTS_PER_WORKER = 10;

class Turns {
  readonly #next: number[];

  constructor(workers: number) {
    this.#next = Array.from({ length: workers }, () => 0);
  }

  /** The next account of a worker, by its number among all. */
  take(worker: number): number {
    const turn = this.#next[worker] ?? 0;
    this.#next[worker] = turn + 1;
    return worker * ACCOUNTS_PER_WORKER + (turn % ACCOUNTS_PER_WORKER);
  }
}

async function createOurs({ context, bench, concurrency }: PasswordScene): Promise<RequestSide> {
  const users = await registerMany(context.t, bench.authUrls, concurrency * ACCOUNTS_PER_WORKER);
  const clients = await openClients(context.t, bench.authUrls, concurrency);
  const turns = new Turns(concurrency);
  let count = 0;
  return {
    perform: async (worker) => {
      const user = users[turns.take(worker)];
      const client = clients[worker];
      if (user === undefined || client === undefined) throw new RangeError(`no worker ${worker}`);
      const { user_id: userId } = readTokens(await client.tryLogIn(user.phone_number));
      if (userId !== user.user_id) throw new Error('somebody else was logged in');
      count += 1;
    },
    check: () => checkEvents(bench, users.length + count),
  };
}

async function createBetterAuth(scene: PasswordScene, peerUrl: string): Promise<RequestSide> {
  const connections = await openPeerConnections(scene, peerUrl);
  const turns = new Turns(scene.concurrency);
  await Promise.all(
    connections.map(async (connection, worker) => {
      for (let own = 0; own < ACCOUNTS_PER_WORKER; own += 1) {
        const email = toEmail(turns.take(worker));
        await askBetterAuth(connection, 'sign-up/email', { email, password: PASSWORD, name: 'Somebody' });
      }
    }),
  );
  return {
    perform: (worker) =>
      askBetterAuth(connections[worker], 'sign-in/email', { email: toEmail(turns.take(worker)), password: PASSWORD }),
    check: () => Promise.resolve([]),
  };
}

export const login: BenchScenario = {
  name: 'login',
  description: 'logins a second, beside the hasher alone and better-auth with the same hasher',
  options: passwordOptions,
  run: (context) =>
    comparePasswords(context, {
      headline: { row: 1, figure: 'logins/s ÷ the bare hasher’s verifications/s', target: 0.85 },
      work: 'verify',
      plural: 'logins',
      createOurs,
      createBetterAuth,
    }),
};
