import { ProblemError } from '@infrasignal/service-kit';
import type { Database } from '../../plugins/database-plugin.ts';
import { generateClientSecret, hashClientSecret, isSecretOf } from './client-secret.ts';
import { serviceClientErrors } from './service-clients-errors.ts';
import {
  findServiceClient,
  findServiceClients,
  insertServiceClient,
  replaceSecret,
  touchServiceClient,
  type ServiceClient,
} from './service-clients-repository.ts';

export interface IssuedAccess {
  readonly access: string;
  /** Seconds. */
  readonly expiresIn: number;
}

export interface ServiceClientsDependencies {
  readonly db: Database;
  /** Makes an access token of a session, with its user's scopes. */
  readonly issueAccess: (session: { userId: number; sessionId: string; scopes: readonly string[] }) => IssuedAccess;
  /** Ends every session of the client's user; its tokens and sockets end with it. @returns how many ended */
  readonly endSessions: (userId: number) => Promise<number>;
}

/** A secret, in the only moment in which it can be read. */
export interface NewSecret {
  readonly clientId: string;
  readonly secret: string;
}

/** Credentials for other teams' services: a client id and a secret for short access tokens with scopes. */
export class ServiceClientsService {
  readonly #dependencies: ServiceClientsDependencies;

  constructor(dependencies: ServiceClientsDependencies) {
    this.#dependencies = dependencies;
  }

  /** @throws ProblemError invalid_client, the same for an unknown id, a wrong secret and a revoked client */
  async issueToken(clientId: string, secret: string): Promise<IssuedAccess & { scopes: readonly string[] }> {
    const { db, issueAccess } = this.#dependencies;
    const client = await findServiceClient(db, clientId);
    if (client?.revokedAt !== null || !isGoodSecret(client, secret)) {
      throw new ProblemError(serviceClientErrors.invalid_client);
    }
    await touchServiceClient(db, client.id);
    const { userId, sessionId, scopes } = client;
    return { ...issueAccess({ userId, sessionId, scopes }), scopes };
  }

  async create(name: string, scopes: readonly string[]): Promise<NewSecret> {
    const secret = generateClientSecret();
    const secretHash = hashClientSecret(secret);
    return { clientId: await insertServiceClient(this.#dependencies.db, { name, scopes, secretHash }), secret };
  }

  async list(): Promise<ServiceClient[]> {
    return findServiceClients(this.#dependencies.db);
  }

  /** @returns null if there is no such client */
  async rotateSecret(clientId: string, overlapSeconds: number): Promise<NewSecret | null> {
    const secret = generateClientSecret();
    const isReplaced = await replaceSecret(this.#dependencies.db, clientId, hashClientSecret(secret), overlapSeconds);
    return isReplaced ? { clientId, secret } : null;
  }

  /** Ends the client for good. @returns false if there is no such live client */
  async revoke(clientId: string): Promise<boolean> {
    const client = await findServiceClient(this.#dependencies.db, clientId);
    return client !== null && (await this.#dependencies.endSessions(client.userId)) > 0;
  }
}

function isGoodSecret({ secretHash, previousSecretHash }: ServiceClient, secret: string): boolean {
  if (isSecretOf(secretHash, secret)) return true;
  return previousSecretHash !== null && isSecretOf(previousSecretHash, secret);
}
