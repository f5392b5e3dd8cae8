import { LINK_NAMES, nowMs, type FaultProxy, type LinkName, type NetworkConditions } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkAnswers, describeAnswers, type Period } from '../checks/check-answers.ts';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { shuffle, type Random } from '../random.ts';
import { LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

interface NetworkFault {
  readonly name: string;
  /** Lets it happen to the connections of one link; {@link FaultProxy.heal} ends it. */
  readonly begin: (proxies: readonly FaultProxy[], random: Random) => void;
}

function conditions(name: string, choose: (random: Random) => NetworkConditions): NetworkFault {
  return {
    name,
    begin: (proxies, random) => {
      const chosen = choose(random);
      for (const proxy of proxies) proxy.setNetwork(chosen);
    },
  };
}

/** One way only: what is said arrives, and what is answered does not, or the other way round. */
const oneWay: NetworkFault = {
  name: 'one-way black hole',
  begin: (proxies, random) => {
    const direction = random() < 0.5 ? 'up' : 'down';
    for (const proxy of proxies) proxy.setNetwork({ isBlackHole: true }, direction);
  },
};

const blackHole = conditions('black hole', () => ({ isBlackHole: true }));

const FAULTS: readonly NetworkFault[] = [
  conditions('latency', (random) => ({ latencyMs: 20 + random() * 280 })),
  conditions('jitter and loss', (random) => ({ jitterMs: 200, lossShare: 0.02 + random() * 0.1 })),
  // Load L needs some 100 KB/s on the busiest link.
  conditions('bandwidth', (random) => ({ bytesPerSecond: 10_000 + random() * 50_000 })),
  conditions('one-byte slices', () => ({ sliceBytes: 1 })),
  blackHole,
  oneWay,
  {
    name: 'resets',
    begin: (proxies) => {
      for (const proxy of proxies) proxy.reset();
    },
  },
  {
    name: 'refusal',
    begin: (proxies) => {
      for (const proxy of proxies) proxy.refuse();
    },
  },
];

interface Size {
  readonly users: number;
  readonly instances: number;
  /** Of each link: how many of the faults it has. */
  readonly faultsPerLink: number;
  /** The longest that a fault lasts; the length is random. */
  readonly faultMsMax: number;
  /** The longest that auth-service waits for its database: for a connection, and for a statement. */
  readonly databaseMsMax: { readonly connect: number; readonly statement: number };
  /** The longest that a request may take: some of those, one after the other, on a machine that is busy. */
  readonly answerMsMax: number;
}

/** The defaults of the settings; faults that are shorter and longer than everything that anybody waits for. */
const FULL: Size = {
  users: LOADED_USERS.full,
  instances: 2,
  faultsPerLink: FAULTS.length,
  faultMsMax: 20_000,
  databaseMsMax: { connect: 3_000, statement: 5_000 },
  answerMsMax: 14_000,
};

const SHORT: Size = {
  users: LOADED_USERS.short,
  instances: 1,
  faultsPerLink: 1,
  faultMsMax: 1_200,
  // Less would refuse some of the load on a machine that is busy with other tests.
  databaseMsMax: { connect: 2_000, statement: 2_000 },
  answerMsMax: 8_000,
};

/** A slow start shows in full length only: what is shorter is over before a timeout can be wrong. */
const FAULT_MS_MIN = 300;

/** The services' settings under which a request cannot end in time when the database says nothing. */
const PATIENT = { connect: 60_000, statement: 60_000 };

function set({ t, random, progress }: ScenarioContext, { users, instances, databaseMsMax }: Size): Promise<FaultRun> {
  return FaultRun.set(t, {
    random,
    progress,
    users,
    stack: {
      links: LINK_NAMES,
      authInstances: instances,
      notifyInstances: instances,
      // What a node remembers to spare the broker fills up in a long run, and is no leak.
      notifyEnv: { RECENT_EVENTS_MAX: '1000' },
      authEnv: {
        DATABASE_CONNECT_MS_MAX: String(databaseMsMax.connect),
        DATABASE_STATEMENT_MS_MAX: String(databaseMsMax.statement),
      },
    },
  });
}

/** Every link with so many of the faults, in random order. */
function plan(random: Random, { faultsPerLink }: Size): (readonly [LinkName, NetworkFault])[] {
  const pairs = LINK_NAMES.flatMap((link) =>
    shuffle(random, FAULTS)
      .slice(0, faultsPerLink)
      .map((fault) => [link, fault] as const),
  );
  return shuffle(random, pairs);
}

/** @returns while the clients could not rely on their way to auth-service */
async function breakLink(
  { random, progress }: ScenarioContext,
  faultRun: FaultRun,
  [link, fault]: readonly [LinkName, NetworkFault],
  faultMs: number,
): Promise<Period[]> {
  const startedAt = nowMs();
  progress(`${link}: ${fault.name} for ${Math.round(faultMs)} ms`);
  fault.begin(faultRun.stack.links[link], random);
  await sleep(faultMs);
  for (const proxy of faultRun.stack.links[link]) await proxy.heal();
  faultRun.countFault(`${link} ${fault.name}`);
  return link === 'clientsToAuth' ? [[startedAt, nowMs()]] : [];
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { isFull, random } = context;
  const size = isFull ? FULL : SHORT;
  const faultRun = await set(context, size);
  const excused: Period[] = [];
  for (const pair of plan(random, size)) {
    const faultMs = FAULT_MS_MIN + random() * (size.faultMsMax - FAULT_MS_MIN);
    excused.push(...(await breakLink(context, faultRun, pair, faultMs)));
    await faultRun.measureRecovery();
  }
  const result = await faultRun.finish();
  faultRun.figures.push(describeAnswers(faultRun.ledger.operations));
  const late = checkAnswers(faultRun.ledger, { limitMs: size.answerMsMax, excused });
  return { ...result, violations: [...result.violations, ...late] };
}

/** One that does not wait for ever has answered after {@link SHORT}'s 2 + 2 s for its database, and some time of its own. */
const CONTROL_FAULT_MS = 5_500;

/** A service that waits for its database for ever, as far as anybody who asks can tell. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const faultRun = await set(context, { ...SHORT, users: 5, databaseMsMax: PATIENT });
  await breakLink(context, faultRun, ['authToDatabase', blackHole], CONTROL_FAULT_MS);
  await faultRun.measureRecovery();
  const result = await faultRun.finish();
  const late = checkAnswers(faultRun.ledger, { limitMs: CONTROL_FAULT_MS - FAULT_MS_MIN });
  return { ...result, violations: [...result.violations, ...late] };
}

export const badNetwork: Scenario = {
  id: 'F19',
  title: 'the network on each link is slow, lossy, in pieces, silent or gone, one after the other in random order',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'an auth-service that waits for its database for ever',
    symptoms: [/^I5 (login|register) of \S+ at \S+ took \d+ ms/],
    run: runBroken,
  },
};
