import { grantableScopes } from '../features/accounts/index.ts';
import { CommandError, type ServiceCommand } from './command.ts';

/** A day: long enough to deploy the new secret everywhere, short enough that a leaked old one is soon worth nothing. */
const OVERLAP_HOURS = 24;
const OVERLAP_HOURS_MAX = 720;

const NAME_EXPRESSION = /^[a-z0-9][a-z0-9-]{1,62}$/;
const ID_EXPRESSION = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function getClientId(id: string | undefined): string {
  if (id === undefined || !ID_EXPRESSION.test(id)) throw new CommandError('say which: the client id, a UUID');
  return id;
}

function showSecret(clientId: string, secret: string): string[] {
  return [`client_id:     ${clientId}`, `client_secret: ${secret}`, 'The secret is not shown again.'];
}

/** `infrasignal service-clients create` */
export const createServiceClient: ServiceCommand = {
  name: 'service-clients create',
  usage: '<name> [--scope <scope>]…',
  summary: 'Makes credentials for another team’s service and shows its secret, once.',
  examples: [
    'infrasignal service-clients create billing --scope notifications:all',
    'infrasignal service-clients create shop --scope notifications:send --scope notifications:broadcast',
  ],
  options: { scope: { type: 'string', multiple: true } },
  run: async ({ features }, { positionals: [name], options }) => {
    if (name === undefined || !NAME_EXPRESSION.test(name)) {
      throw new CommandError('the name has 2 to 63 lower-case letters, digits and dashes');
    }
    const scopes = [options.scope ?? []].flat().map(String);
    const unknown = scopes.filter((scope) => !grantableScopes.some((candidate) => candidate === scope));
    if (unknown.length > 0) throw new CommandError(`scopes are: ${grantableScopes.join(', ')}`);
    const { clientId, secret } = await features.serviceClients.create(name, [...new Set(scopes)]);
    return { data: { client_id: clientId, client_secret: secret, scopes }, lines: showSecret(clientId, secret) };
  },
};

/** `infrasignal service-clients list` */
export const listServiceClients: ServiceCommand = {
  name: 'service-clients list',
  usage: '',
  summary: 'Lists the credentials of services.',
  examples: ['infrasignal service-clients list --json'],
  run: async ({ features }) => {
    const clients = await features.serviceClients.list();
    const data = clients.map((client) => ({
      client_id: client.id,
      name: client.name,
      scopes: client.scopes,
      created_at: client.createdAt,
      last_used_at: client.lastUsedAt,
      revoked_at: client.revokedAt,
    }));
    const lines = data.map(({ client_id: id, name, scopes, revoked_at: revokedAt }) => {
      const state = revokedAt === null ? scopes.join(' ') || 'no scope' : `revoked ${revokedAt.toISOString()}`;
      return `${id}  ${name}  ${state}`;
    });
    return { data, lines: lines.length === 0 ? ['There are none.'] : lines };
  },
};

/** `infrasignal service-clients rotate` */
export const rotateServiceClient: ServiceCommand = {
  name: 'service-clients rotate',
  usage: '<client id> [--overlap-hours <hours>]',
  summary: `Makes a new secret; the one before stays good for the overlap (${OVERLAP_HOURS} hours; 0 ends it now).`,
  examples: ['infrasignal service-clients rotate 6f1d0f1e-4b8c-4a52-9a41-0b6d4f6f2c11 --overlap-hours 2'],
  options: { 'overlap-hours': { type: 'string' } },
  run: async ({ features }, { positionals: [id], options }) => {
    const hours = Number(options['overlap-hours'] ?? OVERLAP_HOURS);
    if (!Number.isInteger(hours) || hours < 0 || hours > OVERLAP_HOURS_MAX) {
      throw new CommandError(`--overlap-hours is a whole number from 0 to ${OVERLAP_HOURS_MAX}`);
    }
    const made = await features.serviceClients.rotateSecret(getClientId(id), hours * 3600);
    if (made === null) throw new CommandError('there is no such client');
    return {
      data: { client_id: made.clientId, client_secret: made.secret, overlap_hours: hours },
      lines: showSecret(made.clientId, made.secret),
    };
  },
};

/** `infrasignal service-clients revoke` */
export const revokeServiceClient: ServiceCommand = {
  name: 'service-clients revoke',
  usage: '<client id>',
  summary: 'Ends the credentials for good: tokens are refused and sockets closed at once.',
  examples: ['infrasignal service-clients revoke 6f1d0f1e-4b8c-4a52-9a41-0b6d4f6f2c11'],
  run: async ({ features }, { positionals: [id] }) => {
    const clientId = getClientId(id);
    if (!(await features.serviceClients.revoke(clientId))) throw new CommandError('there is no such live client');
    return { data: { client_id: clientId, revoked: true }, lines: [`${clientId} is revoked.`] };
  },
};
