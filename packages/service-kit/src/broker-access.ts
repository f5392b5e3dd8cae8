import type { NodeConnectionOptions } from '@nats-io/transport-node';
import { confidential, readableFile, text } from './settings.ts';

/** How a service proves to the broker who it is, and the broker to the service: for both services' tables of settings. */
export const brokerAccessSettings = {
  natsUser: text('NATS_USER', {
    description:
      'The name that the broker knows this service by; `deploy/nats` has one for each service, with what it may do. ' +
      'Empty: it asks for none.',
    fallback: '',
  }),
  natsPassword: confidential(
    text('NATS_PASSWORD', { description: 'The password that belongs to `NATS_USER`.', fallback: '' }),
  ),
  natsCaFile: readableFile('NATS_CA_FILE', {
    description:
      'Certificates (PEM) of those who may vouch for the broker, in place of the ones that Node knows. With it, or with ' +
      'a URL that begins with `tls://`, nothing is said to a broker without TLS, or whose certificate is not for its ' +
      'host name.',
  }),
  natsCertFile: readableFile('NATS_CERT_FILE', {
    description: 'Certificate (PEM) of this service, where the broker asks for one (`verify: true`).',
  }),
  natsKeyFile: readableFile('NATS_KEY_FILE', { description: 'The private key (PEM) of that certificate.' }),
};

export interface BrokerAccess {
  readonly natsUser: string;
  readonly natsPassword: string;
  /** Paths; empty where there is none. */
  readonly natsCaFile: string;
  readonly natsCertFile: string;
  readonly natsKeyFile: string;
}

type ConnectOptions = Pick<NodeConnectionOptions, 'servers' | 'user' | 'pass' | 'inboxPrefix' | 'tls'>;

/**
 * Where to connect and how. Certificates are read anew at each connection, so they can be renewed without a restart.
 * @param natsUrl one or more URLs, comma-separated
 */
export function toConnectOptions(natsUrl: string, access?: BrokerAccess): ConnectOptions {
  const servers = natsUrl.split(',').map((server) => server.trim());
  if (access === undefined) return { servers };
  const { natsUser, natsPassword, natsCaFile, natsCertFile, natsKeyFile } = access;
  const files = { caFile: natsCaFile, certFile: natsCertFile, keyFile: natsKeyFile };
  const given = Object.fromEntries(Object.entries(files).filter(([, path]) => path !== ''));
  const isTls = Object.keys(given).length > 0 || servers.some((server) => server.startsWith('tls://'));
  return {
    servers,
    // Answers to one service are no business of another, which the broker can see to if they are told apart by name.
    ...(natsUser === '' ? {} : { user: natsUser, pass: natsPassword, inboxPrefix: `_INBOX.${natsUser}` }),
    ...(isTls ? { tls: given } : {}),
  };
}
