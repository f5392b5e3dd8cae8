// If this breaks: another team's service tells people twice what it was never told it had sent, an announcement misses
// whoever was just changing trains, or a retry after a crash is a second announcement.
import { SUBPROTOCOL, type TokenResponse } from '@infrasignal/shared';
import { startTestStack, waitFor, type TestStack } from '@infrasignal/testkit';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'tap';
import { WebSocket } from 'ws';

const SECRET_KEY = 'only for this test, and long enough: 0123456789';
const root = fileURLToPath(new URL('..', import.meta.url));

type Frame = Readonly<Record<string, unknown>> & { readonly type: string; readonly cursor?: string };

async function post(url: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** Makes credentials with the operators' command, and gets a token with them. */
async function createSender({ url, database, nats }: TestStack): Promise<string> {
  const options = ['--conditions=@infrasignal/source', '--import', 'tsx', 'services/auth-service/src/infrasignal.ts'];
  const scopes = ['--scope', 'notifications:send', '--scope', 'notifications:broadcast'];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...options, 'service-clients', 'create', 'shop', ...scopes, '--json'],
    { cwd: root, env: { ...process.env, DATABASE_URL: database.url, NATS_URL: nats.url, SECRET_KEY } },
  );
  const { client_id, client_secret } = JSON.parse(stdout) as Record<string, string>;
  const answer = await post(`${url}/api/service/token/`, { client_id, client_secret });
  return ((await answer.json()) as { access: string }).access;
}

/** Somebody who listens, at one node and then at another, always with the last cursor. */
class Traveller {
  readonly frames: Frame[] = [];
  readonly failures: unknown[] = [];
  readonly #nodes: readonly string[];
  readonly #access: string;
  #cursor: string | null = null;
  #socket: WebSocket | null = null;
  #at = 0;

  constructor(nodes: readonly string[], access: string) {
    this.#nodes = nodes;
    this.#access = access;
  }

  /** Leaves without a word, and is somewhere else at once. */
  async move(): Promise<void> {
    this.#socket?.removeAllListeners('message');
    this.#socket?.terminate();
    this.#at += 1;
    const after = this.#cursor === null ? '' : `?after=${this.#cursor}`;
    const node = this.#nodes[this.#at % this.#nodes.length] ?? '';
    const socket = new WebSocket(`${node.replace('http:', 'ws:')}/ws/notifications/${after}`, [SUBPROTOCOL], {
      headers: { authorization: `Bearer ${this.#access}` },
    });
    this.#socket = socket;
    let isGreeted = false;
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Frame;
      if (frame.cursor !== undefined) this.#cursor = frame.cursor;
      if (frame.type.startsWith('app.')) this.frames.push(frame);
      if (frame.type !== 'connected') return;
      isGreeted = true;
      if (frame.recovered !== true) this.failures.push(frame);
    });
    socket.on('error', (error) => this.failures.push(error));
    await waitFor(() => isGreeted);
  }

  /** What `data` said, of one's own and of everybody's. */
  numbers(kind: 'own' | 'all'): unknown[] {
    const isOfKind = (frame: Frame): boolean => (frame.user_id === null) === (kind === 'all');
    return this.frames.filter(isOfKind).map(({ data }) => (data as { number: number }).number);
  }

  end(): void {
    this.#socket?.terminate();
  }
}

const MESSAGES = { fr: 'Une nouvelle', en: 'Some news' };

test('R4 a service tells one, a list and everybody: once and in order, over crashes, retries and reconnects', async (t) => {
  const stack = await startTestStack(t, {
    authInstances: 2,
    notifyInstances: 2,
    authEnv: { SECRET_KEY, BROADCASTS_PER_MINUTE_MAX: '10000' },
  });
  const access = await createSender(stack);
  const people: TokenResponse[] = [];
  for (const phone_number of ['0123456781', '0123456782', '0123456783']) {
    const answer = await post(`${stack.url}/api/register/`, { phone_number, password: 'correct horse battery staple' });
    people.push((await answer.json()) as TokenResponse);
  }
  const [first, second] = people as [TokenResponse, TokenResponse, TokenResponse];
  const nodes = stack.notifies.map(({ url }) => url);
  const travellers = people.map((person) => new Traveller(nodes, person.access));
  t.teardown(() => {
    for (const traveller of travellers) traveller.end();
  });
  for (const traveller of travellers) await traveller.move();

  /** As a service does it: with one key until there is an answer, at whichever instance. */
  const send = async (to: unknown, number: number): Promise<void> => {
    const headers = { authorization: `Bearer ${access}`, 'idempotency-key': randomUUID() };
    const body = { to, type: 'app.news', messages: MESSAGES, data: { number } };
    await waitFor(
      async () => {
        for (const { url } of stack.auths) {
          const answer = await post(`${url}/api/notifications/`, body, headers).catch(() => null);
          if (answer?.status === 202) return true;
        }
        return false;
      },
      { description: `notification ${number} to be taken` },
    );
  };

  const throughGateway = await post(
    `${stack.url}/api/notifications/`,
    { to: [first.user_id, second.user_id, 999_999], type: 'app.news', messages: MESSAGES, data: { number: 0 } },
    { authorization: `Bearer ${access}`, 'idempotency-key': randomUUID() },
  );
  t.equal(throughGateway.status, 202, 'the gateway sends it where it belongs');
  t.match(await throughGateway.json(), { recipients: 2, unknown_user_ids: [999_999] });

  const COUNT = 12;
  let isSending = true;
  const sending = (async () => {
    for (let number = 1; number <= COUNT; number += 1) {
      await Promise.all([
        send([first.user_id], number),
        send('everybody', number),
        // One of the two instances dies while both are under way: before, in, or after the commit.
        number === 4 ? stack.auth.kill() : null,
      ]);
    }
    isSending = false;
  })();
  while (isSending) {
    for (const traveller of travellers) {
      const { length } = traveller.frames;
      await traveller.move();
      await waitFor(() => traveller.frames.length > length || !isSending);
    }
  }
  await sending;

  const expected = Array.from({ length: COUNT }, (_, at) => at + 1);
  await waitFor(() => travellers.every((traveller) => traveller.numbers('all').length >= COUNT));
  await waitFor(() => travellers[0]!.numbers('own').length >= COUNT + 1);
  for (const traveller of travellers) t.same(traveller.numbers('all'), expected, 'each announcement once, in order');
  t.same(travellers.map((traveller) => traveller.numbers('own')), [[0, ...expected], [0], []], 'and nobody else’s');
  t.same(travellers.flatMap(({ failures }) => failures), [], 'every resume was whole');

  const [rows] = await stack.database.query<{ rows: number; seq: number }>(
    `select count(*)::int as rows, max(seq)::int as seq from outbox where user_id = 0`,
  );
  t.same(rows, { rows: COUNT, seq: COUNT }, 'one row for everybody, not one for each');
});
