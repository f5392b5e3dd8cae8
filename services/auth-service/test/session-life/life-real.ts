import type { TokenResponse } from '@infrasignal/shared';
import { isDeepStrictEqual } from 'node:util';
import type { AuthFixture } from '../auth-fixture.ts';
import { nextNumber, type Answer } from '../requests.ts';
import type { LifeModel, ModelAccount, ModelSession } from './life-model.ts';

export const ORIGIN = 'https://app.example.com';

/** What somebody holds of one session. */
export interface HeldSession {
  readonly id: string;
  /** Every refresh token there was, by its counter. */
  readonly refresh: string[];
  /** Every access token there was. */
  readonly access: string[];
  readonly csrf: string | null;
}

interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly body?: object;
  readonly access?: string | undefined;
  readonly headers?: Record<string, string>;
  readonly cookies?: Record<string, string>;
}

/** The service did something else than the model says. */
export class LifeError extends Error {
  constructor(what: string, expected: unknown, got: unknown) {
    super(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
    this.name = 'LifeError';
  }
}

export function expectSame(what: string, expected: unknown, got: unknown): void {
  if (!isDeepStrictEqual(expected, got)) throw new LifeError(what, expected, got);
}

/** One person's calls to the real service, and what they got. */
export class LifeReal {
  readonly fixture: AuthFixture;
  readonly number = nextNumber();
  readonly held: HeldSession[] = [];
  readonly userIds: number[] = [];

  constructor(fixture: AuthFixture) {
    this.fixture = fixture;
  }

  send({ method = 'POST', url, body, access, headers = {}, cookies }: Call): Promise<Answer> {
    return this.fixture.app.inject({
      method,
      url,
      headers: { ...headers, ...(access === undefined ? {} : { authorization: `Bearer ${access}` }) },
      ...(body === undefined ? {} : { payload: body }),
      ...(cookies === undefined ? {} : { cookies }),
    });
  }

  /** Keeps what a registration or a login answered. */
  keep(answer: Answer, isCookie: boolean): void {
    const { access, refresh, csrf } = readTokens(answer, isCookie);
    this.held.push({ id: refresh.split('.')[1] ?? '', refresh: [refresh], access: [access], csrf });
  }

  /** @param token the refresh token to come with */
  refresh(session: HeldSession, token: string, isCookie: boolean): Promise<Answer> {
    if (!isCookie) return this.send({ url: '/api/token/refresh/', body: { refresh: token } });
    return this.send({
      url: '/api/token/refresh/?session=cookie',
      cookies: { '__Host-infrasignal_refresh': token },
      headers: { origin: ORIGIN, 'x-csrf-token': session.csrf ?? '' },
    });
  }

  /** As if so much time had gone by: what is stored was written longer ago. */
  async pass(ms: number): Promise<void> {
    await this.fixture.database.query(
      `update sessions set created_at = created_at - $2 * interval '1 ms', last_used_at = last_used_at - $2 * interval '1 ms',
        rotated_at = rotated_at - $2 * interval '1 ms', idle_expires_at = idle_expires_at - $2 * interval '1 ms',
        expires_at = expires_at - $2 * interval '1 ms' where user_id = any($1)`,
      [this.userIds, ms],
    );
  }

  /** Everything that can be asked, compared with what the model says. @throws LifeError */
  async audit(model: LifeModel): Promise<void> {
    for (const [at, session] of model.sessions.entries()) await this.#auditTokens(model, session, this.held[at]!);
    for (const [at, account] of model.accounts.entries()) await this.#auditEvents(model, account, this.userIds[at]!);
    const [live] = model.liveOf(model.account);
    if (live !== undefined) await this.#auditList(model, live);
  }

  async isGood(token: string): Promise<boolean> {
    return (await this.send({ url: '/api/token/verify/', body: { token } })).statusCode === 200;
  }

  async #auditTokens(model: LifeModel, session: ModelSession, held: HeldSession): Promise<void> {
    const isLive = model.isLive(session);
    const accesses = new Set([held.access[0]!, held.access.at(-1)!]);
    for (const access of accesses) {
      expectSame('an access token verifies while its session lives', isLive, await this.isGood(access));
      const { statusCode } = await this.send({ method: 'GET', url: '/api/me/', access });
      expectSame('a guarded route takes it as long', isLive ? 200 : 401, statusCode);
    }
    for (let counter = Math.max(0, session.counter - 2); counter <= session.counter; counter += 1) {
      const token = held.refresh[counter];
      if (token === undefined || model.isDoubtful(session, counter)) continue;
      const outcome = model.predict(session, counter);
      const isGood = outcome === 'rotated' || outcome === 'repeated';
      expectSame(`refresh token ${counter} of ${session.counter}`, isGood, await this.isGood(token));
    }
  }

  async #auditList(model: LifeModel, asking: ModelSession): Promise<void> {
    const idOf = (session: ModelSession): string => this.held[model.sessions.indexOf(session)]!.id;
    const { access } = this.held[model.sessions.indexOf(asking)]!;
    const answer = await this.send({ method: 'GET', url: '/api/sessions/', access: access.at(-1) });
    const { sessions } = answer.json<{ sessions: { id: string; current: boolean }[] }>();
    expectSame('the list', model.liveOf(asking.account).map(idOf).sort(), sessions.map(({ id }) => id).sort());
    expectSame('which is current', [idOf(asking)], sessions.filter(({ current }) => current).map(({ id }) => id));
  }

  async #auditEvents(model: LifeModel, account: ModelAccount, userId: number): Promise<void> {
    const idOf = (session: ModelSession): string => this.held[model.sessions.indexOf(session)]!.id;
    const rows = await this.fixture.database.query<{ seq: number; type: string; reason: string | null; ids: string[] | null }>(
      `select seq::int, type, payload->>'reason' as reason,
        case when payload ? 'session_ids' then array(select jsonb_array_elements_text(payload->'session_ids')) end as ids
        from outbox where user_id = $1 order by seq`,
      [userId],
    );
    const told = rows.map(({ seq, type, reason, ids }) => ({ seq, type, reason, ids: ids?.toSorted() ?? null }));
    const expected = account.events.map(({ type, reason, sessions }, at) => ({
      seq: at + 1,
      type,
      reason: reason ?? null,
      ids: sessions?.map(idOf).sort() ?? null,
    }));
    expectSame('the events', expected, told);
  }
}

/** The keys that the tokens of this process were signed with. */
export const signingKeys = new Set<string>();

/** The tokens of an answer, wherever they are. */
export function readTokens(
  answer: Answer,
  isCookie: boolean,
): { access: string; refresh: string; csrf: string | null } {
  const cookie = (name: string): string => answer.cookies.find((one) => one.name === `__Host-infrasignal_${name}`)?.value ?? '';
  const tokens = isCookie
    ? { access: cookie('access'), refresh: cookie('refresh'), csrf: cookie('csrf') }
    : { ...answer.json<TokenResponse>(), csrf: null };
  const { kid } = JSON.parse(Buffer.from(tokens.access.split('.')[0] ?? '', 'base64url').toString()) as { kid: string };
  signingKeys.add(kid);
  return tokens;
}
