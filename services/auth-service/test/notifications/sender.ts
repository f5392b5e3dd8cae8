import { randomUUID } from 'node:crypto';
import { createFeatures } from '../../src/features.ts';
import { loadConfig } from '../../src/config.ts';
import { testEnvironment, type AuthFixture } from '../auth-fixture.ts';
import { post, type Answer } from '../requests.ts';

export const TEXTS = { fr: 'Votre commande est partie.', en: 'Your order has been shipped.' };

/** Another team's service with its token. */
export interface Sender {
  readonly access: string;
  /** Sends what `changes` says on top of a good notification to nobody in particular. */
  send(changes: Record<string, unknown>, key?: string): Promise<Answer>;
}

let clientsMade = 0;

/** Makes credentials with these scopes, as the command line does, and gets a token with them. */
export async function createSender({ app }: AuthFixture, ...scopes: string[]): Promise<Sender> {
  const config = loadConfig(testEnvironment({ databaseUrl: 'postgres://unused', natsUrl: 'nats://unused' }));
  const nothing = (): void => undefined;
  const hooks = { db: app.db, announceEvent: nothing, broker: null, log: { warn: nothing }, onError: nothing };
  const { serviceClients } = await createFeatures(config, hooks);
  clientsMade += 1;
  const { clientId, secret } = await serviceClients.create(`sender-${clientsMade}`, scopes);
  const answer = await post(app, '/api/service/token/', { client_id: clientId, client_secret: secret });
  const { access } = answer.json<{ access: string }>();
  return {
    access,
    send: (changes, key = randomUUID()) =>
      post(
        app,
        '/api/notifications/',
        { type: 'app.order_shipped', messages: TEXTS, ...changes },
        { authorization: `Bearer ${access}`, 'idempotency-key': key },
      ),
  };
}
