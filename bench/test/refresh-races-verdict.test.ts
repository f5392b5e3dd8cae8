// The race suite reports "0 live chains". If its judge could not see one, a forked session would pass unnoticed.
import { startTestStack } from '@infrasignal/testkit';
import t from 'tap';
import { openClients, readTokens, registerMany } from '../load/account-client.ts';
import { judgeRace, type Race, type RaceSession } from '../scenarios/refresh-races-verdict.ts';

t.test('the judge sees a chain too many, one too few, and answers that must not be', async (t) => {
  const stack = await startTestStack(t, { hasGateway: false });
  const urls = [stack.auth.url];
  const clients = await openClients(t, urls, 2);
  const sessions = (await registerMany(t, urls, 3)).map(({ user_id: userId, refresh }): RaceSession => {
    return { id: refresh.split('.')[1] ?? '', userId, tokens: new Set([refresh]) };
  });
  const judge = (liveExpected: 0 | 1, statuses: [status: number, count: number][]) => {
    const sent = { refreshes: 3, replays: 0, logouts: 0 };
    const race: Race = { title: 'a race', sessions, liveExpected, ...sent, statuses: new Map(statuses) };
    return judgeRace(race, clients, stack);
  };

  t.match(await judge(1, [[200, 3]]), { liveChains: 3, liveRows: 3, revocations: 0, wrongSessions: 0, problems: [] });
  t.match(await judge(0, [[200, 3]]), {
    wrongSessions: 3,
    problems: ['a race: 3 sessions have not exactly 0 live chain'],
  });
  t.match(await judge(1, [[200, 1], [401, 1], [503, 1]]), {
    wrongSessions: 0,
    problems: ['a race: 1 refreshes were refused, all had to be answered', 'a race: 1 answers 503'],
  });

  // A session that was forked: two tokens of it are good at once. Another session's token stands for the fork.
  const [first, second, third] = sessions;
  const [token = ''] = first?.tokens ?? [];
  const [foreign = ''] = second?.tokens ?? [];
  first?.tokens.add(foreign);
  t.match(await judge(1, [[200, 3]]), { liveChains: 4, liveRows: 3, wrongSessions: 1 });
  first?.tokens.delete(foreign);

  // A session that ended though it must live.
  const [ending = ''] = third?.tokens ?? [];
  await clients[0]?.logOut(ending);
  t.match(await judge(1, [[200, 3]]), { liveChains: 2, liveRows: 2, revocations: 1, wrongSessions: 1 });

  // A token that was rotated out of our sight: the session lives, and nobody holds its chain.
  for (let rotation = 0, newest = token; rotation < 2; rotation += 1) {
    const answer = await clients[0]?.refresh(newest);
    newest = answer === undefined ? '' : readTokens(answer).refresh;
  }
  t.match(await judge(1, [[200, 3]]), { liveChains: 1, liveRows: 2, wrongSessions: 2 });
});
