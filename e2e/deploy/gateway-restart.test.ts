// If this breaks, every deployment costs requests that were under way, or notifications of those who listen.
import { waitFor } from '@infrasignal/testkit';
import { existsSync } from 'node:fs';
import t from 'tap';
import { FaultRun } from '../faults/fault-run.ts';
import { chooseSeed, createRandom } from '../faults/random.ts';
import { formatViolations } from '../faults/report.ts';
import { NGINX, startNginxGateway } from './nginx-gateway.ts';

t.setTimeout(300_000);

const isPossible = process.platform === 'linux' && existsSync(NGINX);
const skip = isPossible ? false : 'nginx of the distribution is not here, or no further loopback addresses';

t.test('R13 all instances are restarted one after another behind the gateway: nothing fails, is lost or repeated', { skip }, async (t) => {
  const seed = chooseSeed();
  t.comment(`seed ${seed}`);
  let readLog = (): string => '';
  const run = await FaultRun.set(t, {
    random: createRandom(seed),
    progress: (line) => t.comment(line),
    users: 20,
    ratePerSecond: 20,
    recoveryLimitMs: 20_000,
    stack: {
      authInstances: 2,
      notifyInstances: 2,
      notifyEnv: { SHUTDOWN_GRACE_SECONDS: '10' },
      startEntrance: async (t, services) => {
        const gateway = await startNginxGateway(t, services);
        readLog = () => gateway.logs();
        return gateway.url;
      },
    },
  });
  const { auths, notifies } = run.stack;
  const before = { auths: auths.map(({ pid }) => pid), notifies: notifies.map(({ pid }) => pid) };
  // In order and not by the scenario's Victims, to whom the end of a process is always a crash.
  for (const [at, service] of [...notifies, ...auths].entries()) {
    const victim = [...run.notifies, ...run.auths][at]!;
    await victim.replace(() => service.restart());
    t.comment(`restarted ${victim.name}`);
    await waitFor(async () => (await fetch(`${service.url}/readyz`)).ok);
  }
  await run.measureRecovery();
  for (const line of readLog().split('\n').filter((line) => /\[(error|warn)\]/.test(line)).slice(-20)) t.comment(line);
  const { violations, counts, ledger } = await run.finish({ isAuthUnharmed: true });
  t.comment(JSON.stringify(counts));
  t.same(formatViolations(violations), [], 'every invariant holds, and every request succeeded');
  t.ok(counts.ok > 50 && counts.frames > 50, 'there was a load');
  t.not(String(before.auths), String(auths.map(({ pid }) => pid)));
  const connections = ledger.clients.flatMap((client) => client.connections);
  const sentAway = connections.filter(({ frames }) => frames.some(({ body }) => body.type === 'reconnect'));
  t.ok(sentAway.length >= run.sockets.length / 2, `${sentAway.length} sockets were told to reconnect`);
  const cut = connections.filter(({ openedAt, closeCode, closedAt }) => openedAt !== null && closedAt !== null && closeCode === 1006);
  t.same(cut.length, 0, 'and none was cut off');
});
