/**
 * If this breaks: in some order of logins, refreshes, replays, logouts, bans and changes that nobody thought of, a token
 * outlives its session, somebody is signed out who should not be, or the events do not tell what happened.
 *
 * Sequences of commands (life-commands.ts) go to the real service on a real PostgreSQL; life-model.ts says in a few lines
 * what they have to do. After each sequence everything that can be asked is compared: which tokens are accepted, which
 * sessions are listed, which events stand in the outbox and with which numbers. Time passes by moving what is stored
 * into the past.
 *
 * LIFE_RUNS=2000 npm test -- services/auth-service/test/session-life/session-life.test.ts   many more sequences
 * LIFE_SEED=… (and LIFE_PATH=…)    those that a failure printed; the path leads to the one that failed at once
 */
import fc from 'fast-check';
import t from 'tap';
import { startAuth, type AuthFixture } from '../auth-fixture.ts';
import { commandsRun, lives, resetClock } from './life-commands.ts';
import { LifeModel } from './life-model.ts';
import { LifeReal, ORIGIN, signingKeys } from './life-real.ts';

/** Some seconds of one core; less on a machine that is busy. */
const RUNS = Number(process.env.LIFE_RUNS ?? 100);
const DURATION_MS_MAX = process.env.LIFE_RUNS === undefined ? 12_000 : 2_000_000_000;

t.setTimeout(0);

const SETTINGS = { ALLOWED_ORIGINS: ORIGIN, ALLOWED_HOSTS: 'localhost' };

type Details = fc.RunDetails<[Iterable<fc.AsyncCommand<LifeModel, LifeReal>>]>;

async function live(fixture: AuthFixture, commands: Iterable<fc.AsyncCommand<LifeModel, LifeReal>>): Promise<void> {
  const [model, real] = [new LifeModel(), new LifeReal(fixture)];
  const password = 'correct horse battery staple';
  const answer = await real.send({ url: '/api/register/', body: { phone_number: real.number, password } });
  real.userIds.push(answer.json<{ user_id: number }>().user_id);
  real.keep(answer, false);
  model.register(password, false);
  try {
    await fc.asyncModelRun(() => ({ model, real }), commands);
    await real.audit(model);
  } finally {
    resetClock();
  }
}

function explore(fixture: AuthFixture, parameters: fc.Parameters<[Iterable<fc.AsyncCommand<LifeModel, LifeReal>>]>): Promise<Details> {
  return fc.check(fc.asyncProperty(lives, (commands) => live(fixture, commands)), parameters);
}

t.test('A19 A20 A21 A22 A24 A26 A28 A29 any order of anything keeps to the model', async (t) => {
  const fixture = await startAuth(t, SETTINGS);
  const seed = Number(process.env.LIFE_SEED ?? Date.now() % 0x7fff_ffff);
  const path = process.env.LIFE_PATH;
  t.comment(`LIFE_SEED=${seed}`);
  const result = await explore(fixture, {
    seed,
    numRuns: RUNS,
    interruptAfterTimeLimit: DURATION_MS_MAX,
    ...(path === undefined ? {} : { path }),
  });
  t.comment(`${result.numRuns} sequences, tokens signed with ${signingKeys.size} keys`);
  t.comment(JSON.stringify(Object.fromEntries([...commandsRun].sort((a, b) => b[1] - a[1]))));
  if (!result.failed) return;
  // What follows is how it was made shorter, which depends on what each attempt did and cannot be gone again.
  const [failed = ''] = (result.counterexamplePath ?? '').split(':');
  t.comment(`LIFE_SEED=${seed} LIFE_PATH=${failed}`);
  t.comment([...(result.counterexample?.[0] ?? [])].map((command) => command.toString()).join(', '));
  t.fail(String(result.errorInstance));
});

/** What a broken service would do, done by the database behind its back. */
const controls: Readonly<Record<string, { readonly on: string; readonly body: string }>> = {
  'a session that was refreshed cannot be ended': {
    on: 'before update on sessions',
    body: 'if new.refresh_counter > 0 then new.revoked_at := null; end if; return new;',
  },
  'the end of a session is not told': {
    on: 'before insert on outbox',
    body: `if new.type = 'session.revoked' then return null; end if; return new;`,
  },
  'a replay within the grace begins a chain of its own': {
    on: 'before update on sessions',
    body: `if new.refresh_counter = old.refresh_counter and new.last_used_at > old.last_used_at then
      new.refresh_counter := old.refresh_counter + 1; end if; return new;`,
  },
};

async function breakBehindItsBack({ database }: AuthFixture, { on, body }: { on: string; body: string }): Promise<void> {
  await database.query(`create function broken() returns trigger language plpgsql as $$ begin ${body} end $$`);
  await database.query(`create trigger broken ${on} for each row execute function broken()`);
}

for (const [name, control] of Object.entries(controls)) {
  t.test(`A26 it is found when ${name}`, async (t) => {
    const fixture = await startAuth(t, SETTINGS);
    await breakBehindItsBack(fixture, control);
    const result = await explore(fixture, { seed: 1, numRuns: RUNS, endOnFailure: true });
    t.ok(result.failed, 'found');
    t.comment(`after ${result.numRuns} sequences: ${String(result.errorInstance)}`);
  });
}
