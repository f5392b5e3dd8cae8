// A profile that is added up wrongly sends people to make the wrong function faster.
import t from 'tap';
import { sumSelfTimes, type CpuProfile } from '../profile/self-times.ts';

function node(id: number, functionName: string, url: string, lineNumber: number): CpuProfile['nodes'][number] {
  return { id, callFrame: { functionName, url, lineNumber } };
}

t.test('a sample is charged with the time until the next one, to its function wherever it was called from', async (t) => {
  const profile: CpuProfile = {
    nodes: [
      node(1, '(idle)', '', -1),
      node(2, 'sign', 'file:///somewhere/services/auth-service/src/app.ts', 9),
      node(3, 'parse', 'file:///somewhere/node_modules/.pnpm/pg@8/node_modules/pg/lib/query.js', 0),
      node(4, 'sign', 'file:///somewhere/services/auth-service/src/app.ts', 9), // called by another function
      node(5, '', 'node:net', 4),
    ],
    samples: [1, 2, 3, 4, 5],
    timeDeltas: [50, 1000, 2000, 500, 3000],
  };
  t.same(sumSelfTimes([profile, profile]), [
    { name: 'sign (services/auth-service/src/app.ts:10)', milliseconds: 10 },
    { name: '(idle)', milliseconds: 2 },
    { name: 'parse (pg/lib/query.js:1)', milliseconds: 1 },
    { name: '(anonymous) (node:net:5)', milliseconds: 0 },
  ]);
});
