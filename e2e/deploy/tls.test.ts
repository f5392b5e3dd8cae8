// If this breaks: whoever gets between a service and its database or broker reads every account, or says what happened
// in its place; or the refusal of a wrong certificate is a riddle, and somebody turns the check off.
import { Broker, toConnectOptions, type BrokerAccess } from '@infrasignal/service-kit';
import { createTestDirectory, runServiceToExit, startServiceProcess, startTestNats, startTestPostgres, waitFor, type TestContext, type TestNats } from '@infrasignal/testkit';
import { connect } from '@nats-io/transport-node';
import { chmodSync, copyFileSync, statSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { Authority, type Certificate } from './certificates.ts';
import { PASSWORDS, startConfiguredNats } from './configured-nats.ts';

const SECRET_KEY = 'only for this test, and long enough: 0123456789';
const HERE = 'DNS:localhost,IP:127.0.0.1';
const ACCESS: BrokerAccess = { natsUser: 'auth-service', natsPassword: PASSWORDS.auth, natsCaFile: '', natsCertFile: '', natsKeyFile: '' };

function tlsUrl({ port }: TestNats): string {
  return `tls://localhost:${port}`;
}

function tlsBlock({ certFile, keyFile }: Certificate, more = ''): string {
  return `tls { cert_file: ${JSON.stringify(certFile)}, key_file: ${JSON.stringify(keyFile)} ${more} }`;
}

/** Connects as the services do. @returns null, or why not */
async function tryBroker(url: string, access: BrokerAccess): Promise<string | null> {
  try {
    const connection = await connect({ ...toConnectOptions(url, access), reconnect: false, timeout: 3_000 });
    await connection.close();
    return null;
  } catch (error) {
    return String(error);
  }
}

/** What a service's connection logs first when it does not come about. */
async function readComplaint(t: TestContext, url: string, access: BrokerAccess): Promise<string> {
  const lines: string[] = [];
  const log = { warn: (_fields: object, line: string) => lines.push(line), info: () => undefined };
  const broker = new Broker({ url, access, name: 'test', log: log as never });
  t.teardown(() => broker.close());
  return waitFor(() => lines[0]);
}

t.setTimeout(180_000);

t.test('NATS over TLS: only a broker whose certificate is trusted, and is for its name, hears anything', async (t) => {
  const [trusted, foreign] = [new Authority(t, 'trusted'), new Authority(t, 'foreign')];
  const server = await startConfiguredNats(t, tlsBlock(trusted.sign('here', HERE)));
  const withCa = { ...ACCESS, natsCaFile: trusted.caFile };
  t.equal(await tryBroker(tlsUrl(server), withCa), null, 'a trusted one');
  t.match(await tryBroker(tlsUrl(server), ACCESS), /certificate/i, 'one that nobody vouches for');
  t.match(await tryBroker(tlsUrl(server), { ...ACCESS, natsCaFile: foreign.caFile }), /certificate/i);
  t.equal(
    await readComplaint(t, tlsUrl(server), ACCESS),
    'broker not trusted, because of its certificate: nobody who is trusted has signed it; trying again',
  );

  const elsewhere = await startConfiguredNats(t, tlsBlock(trusted.sign('elsewhere', 'DNS:broker.example')));
  t.match(await tryBroker(tlsUrl(elsewhere), withCa), /altnames|hostname/i, 'one that is for another name');
  t.equal(
    await readComplaint(t, tlsUrl(elsewhere), withCa),
    'broker not trusted, because of its certificate: it is for another host name than the one that was asked for; trying again',
  );

  const plain = await startTestNats(t);
  t.match(await tryBroker(`tls://localhost:${plain.port}`, ACCESS), /does not support 'tls'/, 'a broker without TLS');
  t.match(await tryBroker(`nats://localhost:${plain.port}`, withCa), /does not support 'tls'/, 'whatever the URL says');
});

t.test('NATS that asks for a certificate of the client', async (t) => {
  const [trusted, foreign] = [new Authority(t, 'trusted'), new Authority(t, 'foreign')];
  const verify = `, ca_file: ${JSON.stringify(trusted.caFile)}, verify: true`;
  const server = await startConfiguredNats(t, tlsBlock(trusted.sign('here', HERE), verify));
  const withCa = { ...ACCESS, natsCaFile: trusted.caFile };
  const own = trusted.sign('auth-service', 'DNS:auth-service');
  const strange = foreign.sign('auth-service', 'DNS:auth-service');
  const asClient = ({ certFile, keyFile }: Certificate): BrokerAccess => ({ ...withCa, natsCertFile: certFile, natsKeyFile: keyFile });
  t.equal(await tryBroker(tlsUrl(server), asClient(own)), null);
  t.not(await tryBroker(tlsUrl(server), withCa), null, 'none');
  t.not(await tryBroker(tlsUrl(server), asClient(strange)), null, 'one that the broker does not trust');
});

/** A key that PostgreSQL accepts: its own, and for nobody else to read. */
function giveKey(t: TestContext, { certFile, keyFile }: Certificate, dataDirectory: string): Certificate {
  const directory = createTestDirectory(t, 'infrasignal-postgres-tls-');
  chmodSync(directory, 0o755);
  const owned = { certFile: join(directory, 'server.crt'), keyFile: join(directory, 'server.key') };
  const { uid, gid } = statSync(dataDirectory);
  for (const [from, to] of [[certFile, owned.certFile], [keyFile, owned.keyFile]] as const) {
    copyFileSync(from, to);
    chmodSync(to, 0o600);
    if (process.getuid?.() === 0) chownSync(to, uid, gid);
  }
  return owned;
}

t.test('auth-service and PostgreSQL over TLS, and the whole service on it', async (t) => {
  const [trusted, foreign] = [new Authority(t, 'trusted'), new Authority(t, 'foreign')];
  const nats = await startConfiguredNats(t, tlsBlock(trusted.sign('here', HERE)));
  const database = await startTestPostgres(t);
  const env = {
    SECRET_KEY,
    NATS_URL: tlsUrl(nats),
    NATS_CA_FILE: trusted.caFile,
    NATS_USER: 'auth-service',
    NATS_PASSWORD: PASSWORDS.auth,
  };
  const urlWith = (caFile: string): string => {
    const url = new URL(database.url());
    url.hostname = 'localhost';
    url.searchParams.set('sslmode', 'verify-full');
    url.searchParams.set('sslrootcert', caFile);
    return url.href;
  };
  const entry = 'services/auth-service/src/server.ts';
  const refuse = async (DATABASE_URL: string): Promise<string> => {
    const { code, logs } = await runServiceToExit(t, { entry, env: { ...env, DATABASE_URL } });
    t.equal(code, 1);
    return logs;
  };
  t.match(await refuse(urlWith(trusted.caFile)), /does not support SSL/, 'a database without TLS is refused');

  const useCertificate = async (certificate: Certificate): Promise<void> => {
    const { certFile, keyFile } = giveKey(t, certificate, database.dataDirectory);
    const client = new pg.Client({ connectionString: database.url() });
    await client.connect();
    await client.query(`alter system set ssl_cert_file = '${certFile}'`);
    await client.query(`alter system set ssl_key_file = '${keyFile}'`);
    await client.query('alter system set ssl = on');
    await client.end();
    await database.restart();
  };
  await useCertificate(trusted.sign('elsewhere', 'DNS:database.example'));
  t.match(await refuse(urlWith(trusted.caFile)), /was not accepted: it is for another host name/);
  await useCertificate(trusted.sign('database', HERE));
  t.match(await refuse(urlWith(foreign.caFile)), /was not accepted: nobody who is trusted has signed it/);

  const service = await startServiceProcess(t, { entry, env: { ...env, DATABASE_URL: urlWith(trusted.caFile) } });
  const answer = await fetch(`${service.url}/api/register/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: '0123456789', password: 'correct horse battery staple' }),
  });
  t.equal(answer.status, 201);
  const client = new pg.Client({ connectionString: database.url() });
  await client.connect();
  t.teardown(() => client.end());
  const readUnpublished = 'select count(*)::int as count from outbox where published_at is null';
  await waitFor(async () => (await client.query<{ count: number }>(readUnpublished)).rows[0]?.count === 0, {
    description: 'the event to reach the broker',
  });
  const { rows } = await client.query<{ name: string; ssl: boolean }>(
    `select application_name as name, ssl from pg_stat_activity join pg_stat_ssl using (pid) where application_name <> ''`,
  );
  t.ok(rows.length > 1 && rows.every(({ ssl }) => ssl), 'every connection of the service is encrypted');
});
