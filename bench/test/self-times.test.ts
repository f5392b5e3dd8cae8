// A profile that is added up wrongly sends people to make the wrong function faster.
import t from 'tap';
import { sumPackageTimes, sumSelfTimes, type CpuProfile } from '../profile/self-times.ts';

type Node = CpuProfile['nodes'][number];

function node(id: number, functionName: string, url: string, lineNumber: number, children: number[] = []): Node {
  return { id, callFrame: { functionName, url, lineNumber }, children };
}

const ours = 'file:///somewhere/services/auth-service/src/app.ts';
const dependency = 'file:///somewhere/node_modules/.pnpm/pg@8/node_modules/pg/lib/query.js';
const scoped = 'file:///somewhere/node_modules/.pnpm/@a+b@1/node_modules/@a/b/index.js';

const profile: CpuProfile = {
  nodes: [
    node(1, '(root)', '', -1, [2, 3, 4, 5]),
    node(2, '(idle)', '', -1),
    node(3, 'sign', ours, 9, [6]),
    node(4, 'parse', dependency, 0, [7]),
    node(5, '', scoped, 4),
    node(6, 'write', 'node:net', 6, [8]), // Node's, for ours
    node(7, 'sign', ours, 9, [9]), // ours, called by another
    node(8, 'writev', '', -1),
    node(9, 'write', 'node:net', 6),
  ],
  samples: [2, 3, 4, 5, 6, 7, 8, 9],
  // Each sample lasts until the next one; how long the last one lasted is not known.
  timeDeltas: [50, 1000, 2000, 500, 3000, 100, 200, 400],
};

t.test('a sample is charged with the time until the next one, to its function wherever it was called from', async (t) => {
  t.same(sumSelfTimes([profile, profile]), [
    { name: '(anonymous) (@a/b/index.js:5)', milliseconds: 6 },
    { name: 'sign (services/auth-service/src/app.ts:10)', milliseconds: 4.4 },
    { name: '(idle)', milliseconds: 2 },
    { name: 'parse (pg/lib/query.js:1)', milliseconds: 1 },
    { name: 'writev ← sign (services/auth-service/src/app.ts:10)', milliseconds: 0.8 },
    { name: 'write (node:net:7) ← sign (services/auth-service/src/app.ts:10)', milliseconds: 0.2 },
  ]);
});

t.test('what Node does is charged to the package that called it', async (t) => {
  t.same(sumPackageTimes([profile]), [
    { name: '@a/b', milliseconds: 3 },
    { name: 'services/auth-service/src/app.ts', milliseconds: 2.7 },
    { name: '(idle)', milliseconds: 1 },
    { name: 'pg', milliseconds: 0.5 },
  ]);
});
