import fc from 'fast-check';
import { infrasignal } from '../command-line.ts';
import type { LifeModel, ModelSession } from './life-model.ts';
import { expectSame, LifeError, ORIGIN, readTokens, type HeldSession, type LifeReal } from './life-real.ts';

type Command = fc.AsyncCommand<LifeModel, LifeReal>;

/** One step of a life: what the service does, compared with what the model says. */
type Step = (model: LifeModel, real: LifeReal) => Promise<void>;

/** How often each kind of command was run: a run that never rotated a key says so. */
export const commandsRun = new Map<string, number>();

function command(name: string, act: Step, check: (model: LifeModel) => boolean = () => true): Command {
  const kind = name.replaceAll(/\d+/g, 'n');
  const run: Step = (model, real) => {
    commandsRun.set(kind, (commandsRun.get(kind) ?? 0) + 1);
    return act(model, real);
  };
  return { check, run, toString: () => name };
}

const hasSession = (model: LifeModel): boolean => model.sessions.length > 0;

/** One of the sessions there were, live or not. */
function choose(model: LifeModel, real: LifeReal, at: number): [ModelSession, HeldSession] {
  const index = at % model.sessions.length;
  return [model.sessions[index]!, real.held[index]!];
}

const at = fc.nat({ max: 20 });

let passwords = 0;

const register = fc.boolean().map((isCookie) =>
  command(
    `register${isCookie ? ' with cookies' : ''}`,
    async (model, real) => {
      const password = `correct horse battery ${real.number}`;
      const body = { phone_number: real.number, password };
      const answer = await real.send({
        url: `/api/register/${isCookie ? '?session=cookie' : ''}`,
        body,
        ...(isCookie ? { headers: { origin: ORIGIN } } : {}),
      });
      const isFree = model.accounts.length === 0 || model.account.isDeleted;
      expectSame('registration', isFree ? 201 : 409, answer.statusCode);
      if (!isFree) return;
      real.userIds.push(answer.json<{ user_id: number }>().user_id);
      real.keep(answer, isCookie);
      model.register(password, isCookie);
    },
  ),
);

const logIn = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5 })).map(([isCookie, luck]) =>
  command(
    `log in${isCookie ? ' with cookies' : ''}${luck === 0 ? ' with a wrong password' : ''}`,
    async (model, real) => {
      const password = luck === 0 ? 'wrong horse' : model.account.password;
      const answer = await real.send({
        url: `/api/login/${isCookie ? '?session=cookie' : ''}`,
        body: { phone_number: real.number, password },
        ...(isCookie ? { headers: { origin: ORIGIN } } : {}),
      });
      const isLetIn = model.logIn(password, isCookie);
      expectSame('login', isLetIn ? 200 : 401, answer.statusCode);
      if (isLetIn) real.keep(answer, isCookie);
    },
  ),
);

/** The current token, the one before, or one from long ago. */
const refresh = fc.tuple(at, fc.constantFrom(0, 0, 0, 1, 1, 2, 3)).map(([which, age]) =>
  command(`refresh session ${which} with a token ${age} exchanges old`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const counter = Math.max(0, session.counter - age);
    const token = held.refresh[counter];
    if (token === undefined || model.isDoubtful(session, counter)) return;
    const answer = await real.refresh(held, token, session.isCookie);
    const outcome = model.refresh(session, counter);
    const isAnswered = outcome === 'rotated' || outcome === 'repeated';
    expectSame(`refresh (${outcome})`, isAnswered ? 200 : 401, answer.statusCode);
    if (!isAnswered) return;
    const tokens = readTokens(answer, session.isCookie);
    held.access.push(tokens.access);
    if (outcome === 'rotated') held.refresh.push(tokens.refresh);
    else expectSame('the same successor', held.refresh[session.counter], tokens.refresh);
  }, hasSession),
);

const refreshTogether = fc.tuple(at, fc.integer({ min: 2, max: 6 })).map(([which, count]) =>
  command(`refresh session ${which} ${count} times at once`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const token = held.refresh[session.counter];
    if (token === undefined) return;
    const answers = await Promise.all(Array.from({ length: count }, () => real.refresh(held, token, session.isCookie)));
    const isAnswered = model.refresh(session, session.counter) === 'rotated';
    const codes = [...new Set(answers.map(({ statusCode }) => statusCode))];
    expectSame('parallel refreshes', [isAnswered ? 200 : 401], codes);
    if (!isAnswered) return;
    const tokens = answers.map((answer) => readTokens(answer, session.isCookie));
    const successors = [...new Set(tokens.map((one) => one.refresh))];
    expectSame('one successor', 1, successors.length);
    held.refresh.push(successors[0]!);
    held.access.push(...tokens.map(({ access }) => access));
  }, hasSession),
);

/** A refresh and a logout at the same moment: whoever is first, nothing lives afterwards. */
const refreshAgainstLogout = at.map((which) =>
  command(`refresh session ${which} while it is logged out`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const token = held.refresh[session.counter];
    if (token === undefined) return;
    const [answer, logout] = await Promise.all([
      real.refresh(held, token, session.isCookie),
      real.send({ url: '/api/logout/', body: { refresh: token } }),
    ]);
    expectSame('logout', 204, logout.statusCode);
    model.revoke([session], 'logout');
    if (answer.statusCode === 200) {
      const tokens = readTokens(answer, session.isCookie);
      if (await real.isGood(tokens.refresh)) throw new LifeError('a token outlived the logout', false, true);
      held.access.push(tokens.access);
    }
  }, hasSession),
);

const refreshWithoutCsrf = at.map((which) =>
  command(`refresh session ${which} by cookie without its CSRF token`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    if (!session.isCookie) return;
    const cookies = { '__Host-infrasignal_refresh': held.refresh.at(-1)! };
    const url = '/api/token/refresh/?session=cookie';
    expectSame('no CSRF token', 403, (await real.send({ url, cookies, headers: { origin: ORIGIN } })).statusCode);
  }, hasSession),
);

const logOut = fc.tuple(at, fc.boolean()).map(([which, byAccess]) =>
  command(`log out session ${which} by its ${byAccess ? 'access' : 'refresh'} token`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const call = byAccess ? { access: held.access[0] } : { body: { refresh: held.refresh[0]! } };
    expectSame('logout', 204, (await real.send({ url: '/api/logout/', ...call })).statusCode);
    model.revoke([session], 'logout');
  }, hasSession),
);

const logOutEverywhere = fc.tuple(at, fc.boolean()).map(([which, keepsCurrent]) =>
  command(`log out everywhere by session ${which}${keepsCurrent ? ' but there' : ''}`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const answer = await real.send({
      url: '/api/logout/all/',
      access: held.access.at(-1),
      body: { keep_current: keepsCurrent },
    });
    expectSame('logout everywhere', model.isLive(session) ? 200 : 401, answer.statusCode);
    if (!model.isLive(session)) return;
    const ended = model.liveOf(session.account).filter((other) => !keepsCurrent || other !== session);
    expectSame('how many ended', { ended: model.revoke(ended, 'logout_everywhere') }, answer.json());
  }, hasSession),
);

const endSession = fc.tuple(at, at).map(([which, other]) =>
  command(`end session ${other} by session ${which}`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const [target, { id }] = choose(model, real, other);
    const answer = await real.send({ method: 'DELETE', url: `/api/sessions/${id}/`, access: held.access.at(-1) });
    const isFound = target.account === session.account && model.isLive(target);
    expectSame('ending a session', !model.isLive(session) ? 401 : isFound ? 204 : 404, answer.statusCode);
    if (answer.statusCode === 204) model.revoke([target], 'session_ended');
  }, hasSession),
);

const changePassword = fc.tuple(at, fc.boolean()).map(([which, isRight]) =>
  command(`change the password by session ${which}${isRight ? '' : ' with a wrong one'}`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    passwords += 1;
    const next = `another horse battery ${passwords}`;
    const body = { current_password: isRight ? session.account.password : 'wrong horse', new_password: next };
    const answer = await real.send({ url: '/api/password/change/', access: held.access.at(-1), body });
    const isLive = model.isLive(session);
    expectSame('password change', !isLive ? 401 : isRight ? 200 : 403, answer.statusCode);
    if (isLive && isRight) expectSame('how many ended', { ended: model.changePassword(session, next) }, answer.json());
  }, hasSession),
);

const deleteAccount = at.map((which) =>
  command(`delete the account by session ${which}`, async (model, real) => {
    const [session, held] = choose(model, real, which);
    const body = { current_password: session.account.password };
    const answer = await real.send({ method: 'DELETE', url: '/api/me/', access: held.access.at(-1), body });
    expectSame('deletion', model.isLive(session) ? 204 : 401, answer.statusCode);
    if (answer.statusCode === 204) model.delete(session);
  }, hasSession),
);

const ban = fc.boolean().map((isBan) =>
  command(isBan ? 'ban' : 'let in again', async (model, real) => {
    if (model.account.isDeleted) return;
    const { code, error } = await infrasignal(real.fixture, 'users', isBan ? 'disable' : 'enable', String(real.userIds.at(-1)));
    if (code !== 0) throw new LifeError('the command', 0, error);
    if (isBan) model.disable();
    else model.account.isDisabled = false;
  }),
);

const rotateKeys = fc.constant(
  command('rotate the signing key', async (_model, real) => {
    const { code, error } = await infrasignal(real.fixture, 'rotate-keys');
    if (code !== 0) throw new LifeError('the command', 0, error);
  }),
);

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;

const pass = fc.constantFrom(SECOND_MS, 4 * SECOND_MS, 11 * SECOND_MS, DAY_MS, 4 * DAY_MS, 8 * DAY_MS, 31 * DAY_MS).map((ms) =>
  command(`${ms / SECOND_MS} s pass`, async (model, real) => {
    await real.pass(ms);
    model.pass(ms);
  }),
);

const systemNow = Date.now;

/** The clock of the service's machine is set, by minutes or by days: everything goes on by the database's. */
const setClock = fc.constantFrom(0, 600_000, -600_000, DAY_MS, -DAY_MS).map((offsetMs) =>
  command(`the clock is set ${offsetMs / SECOND_MS} s off`, async () => {
    Date.now = () => systemNow() + offsetMs;
  }),
);

/** The clock is right again. */
export function resetClock(): void {
  Date.now = systemNow;
}

/** An operator's commands, which open connections of their own, are rare: they take as long as all the others. */
const operators: fc.Arbitrary<Command> = fc.oneof({ weight: 3, arbitrary: ban }, { weight: 1, arbitrary: rotateKeys });

/** Any order of anything. */
export const lives: fc.Arbitrary<Iterable<Command>> = fc.commands(
  [
    ...[logIn, logIn, logIn, refresh, refresh, refresh, refresh, refreshTogether, refreshAgainstLogout, refreshWithoutCsrf],
    ...[logOut, logOutEverywhere, endSession, endSession, changePassword, changePassword, pass, pass, pass, setClock],
    ...[register, deleteAccount, operators],
  ],
  { maxCommands: 16, size: 'max' },
);
