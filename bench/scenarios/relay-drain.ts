import { EVENTS_STREAM_NAME, OUTBOX_HINT_SUBJECT, userLogin } from '@infrasignal/shared';
import { startServiceProcess, waitFor, type ServiceProcess } from '@infrasignal/testkit';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { ServiceProfiler } from '../profile/service-profiler.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, percentile, spread } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';

const ROUNDS_DEFAULT = 5;

/** What piles up in some seconds of a busy day while the broker is away. */
const ROWS_PER_ROUND = 10_000;

/** What is drained in one go in the end. */
const ROWS_AT_ONCE = 50_000;

/** Not measured: code is compiled, and the broker's files have grown. */
const WARM_UP_ROWS = 5_000;

/** As many as the relay has on their way at most (BATCH_ROWS). */
const IN_FLIGHT_MAX = 500;

/** Of each round: so few that most of a round are users with several events, so many that batches have few of one. */
const EVENTS_PER_USER = 4;

/** Looking more often would be work for the database that nobody has to do in production. */
const LOOK_INTERVAL_MS = 100;

const DRAIN_TIMEOUT_MS = 300_000;

const BARE_STREAM = 'BARE';

const TARGET = 0.85;

interface Drain {
  readonly rows: number;
  readonly seconds: number;
  readonly usage: Usage;
}

interface Round {
  readonly relay: Drain;
  readonly bare: Drain;
}

interface Scene {
  readonly bench: BenchStack;
  readonly broker: NatsConnection;
  readonly manager: JetStreamManager;
  readonly bare: ServiceProcess;
  readonly servers: readonly WatchedServer[];
  readonly profiler: ServiceProfiler | null;
}

async function countMessages({ manager }: Scene, stream: string): Promise<number> {
  const { state } = await manager.streams.info(stream);
  return state.messages;
}

/** Rows as logins would have written them, all due at once: in one transaction. @returns the id of the first */
async function fillOutbox({ bench }: Scene, rows: number): Promise<string> {
  const [first] = await bench.stack.database.query<{ id: string }>(
    `with base as (select coalesce(max(seq), 0) as seq from outbox),
     inserted as (
       insert into outbox (event_id, user_id, seq, type, payload)
       select gen_random_uuid(), 1 + at % $2, base.seq + 1 + at / $2, $3,
         jsonb_build_object('user_id', 1 + at % $2, 'phone_number', '+336' || lpad((at % $2)::text, 8, '0'))
       from base, generate_series(0, $1 - 1) as at order by at
       returning id)
     select min(id)::text as id from inserted`,
    [rows, Math.ceil(rows / EVENTS_PER_USER), userLogin.type],
  );
  return first?.id ?? '0';
}

/** From the commit of the rows until the last one is marked, by the clock of the database. */
async function measureRelay(scene: Scene, rows: number): Promise<Drain> {
  const { bench, broker, servers } = scene;
  const { database } = bench.stack;
  await scene.profiler?.start(bench.stack.auth);
  const stopWatch = watchServers(servers);
  const firstId = await fillOutbox(scene, rows);
  const [start] = await database.query<{ ms: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  );
  broker.publish(OUTBOX_HINT_SUBJECT); // as another instance does after a commit
  const isDrained = async (): Promise<boolean> => {
    const [due] = await database.query('select 1 from outbox where published_at is null limit 1');
    return due === undefined;
  };
  await waitFor(isDrained, {
    timeoutMs: DRAIN_TIMEOUT_MS,
    intervalMs: LOOK_INTERVAL_MS,
    description: 'the outbox to be drained',
  });
  const usage = stopWatch();
  await scene.profiler?.stop();
  const [end] = await database.query<{ ms: number }>(
    'select (extract(epoch from max(published_at)) * 1000)::float8 as ms from outbox where id >= $1',
    [firstId],
  );
  return { rows, seconds: ((end?.ms ?? NaN) - (start?.ms ?? NaN)) / 1_000, usage };
}

async function post<Answer>({ bare }: Scene, path: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${bare.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (response.status !== 200) throw new Error(`${path} of the bare publisher: ${await response.text()}`);
  return (await response.json()) as Answer;
}

/** The newest messages of the relay once more, by a process that has them in memory. */
async function measureBare(scene: Scene, rows: number): Promise<Drain> {
  const { state } = await scene.manager.streams.info(EVENTS_STREAM_NAME);
  const fromSequence = state.last_seq - rows + 1;
  const wanted = { stream: EVENTS_STREAM_NAME, fromSequence, count: rows };
  const { loaded } = await post<{ loaded: number }>(scene, '/load', wanted);
  if (loaded !== rows) throw new Error(`${rows} messages were to be published, but ${loaded} could be read`);
  const stopWatch = watchServers(scene.servers);
  const { seconds } = await post<{ seconds: number }>(scene, '/publish', { inFlightMax: IN_FLIGHT_MAX });
  return { rows, seconds, usage: stopWatch() };
}

async function measureRound(scene: Scene, rows: number): Promise<Round> {
  const relay = await measureRelay(scene, rows);
  return { relay, bare: await measureBare(scene, rows) };
}

async function setScene(context: BenchContext): Promise<Scene> {
  const { t, options } = context;
  const profiler = options.isProfiled ? new ServiceProfiler() : null;
  const bench = await startBenchStack(context, { hashes: 'cheap', authEnv: { ...profiler?.environment } });
  const { stack } = bench;
  await stack.notify.stop(); // nobody reads either stream: what readers cost the broker is not the relay's
  const broker = await connect({ servers: stack.nats.url });
  t.teardown(() => broker.close());
  const bare = await startServiceProcess(t, {
    entry: new URL('../peers/bare-publisher.ts', import.meta.url),
    env: { NATS_URL: stack.nats.url, STREAM: BARE_STREAM },
  });
  const running = bench.servers.filter(({ name }) => name !== 'notify-service');
  const servers = [...running, { name: 'bare publisher', pid: bare.pid, hasChildren: false }];
  return { bench, broker, manager: await jetstreamManager(broker), bare, servers, profiler };
}

const rateOf = ({ rows, seconds }: Drain): number => rows / seconds;
const ratioOf = ({ relay, bare }: Round): number => rateOf(relay) / rateOf(bare);

function tabulate(rounds: readonly Round[], atOnce: Round): Table {
  const cpuUs = ({ usage, rows }: Drain, server: string): number =>
    ((usage.cpuSeconds.get(server) ?? NaN) / rows) * 1e6;
  const row = (name: string, server: string, drains: readonly Drain[]): Cell[] => {
    const rates = drains.map(rateOf);
    const cpu = (of: string): number => median(drains.map((drain) => cpuUs(drain, of)));
    return [name, drains[0]?.rows ?? 0, median(rates), percentile(rates, 0), percentile(rates, 1), spread(rates),
      cpu(server), cpu('nats-server'), cpu('PostgreSQL')];
  };
  const [relays, bares] = [rounds.map(({ relay }) => relay), rounds.map(({ bare }) => bare)];
  return {
    title: 'Events stored a second, in rounds by turns',
    columns: [
      { name: 'side' },
      { name: 'events' },
      ...['events/s (median)', 'min', 'max'].map((name) => ({ name })),
      { name: 'spread', digits: 3 },
      ...['server CPU µs/event', 'nats-server', 'PostgreSQL'].map((name) => ({ name, digits: 1 })),
    ],
    rows: [
      row('bare pipelined publish', 'bare publisher', bares),
      row('relay', 'auth-service', relays),
      row('bare, at once', 'bare publisher', [atOnce.bare]),
      row('relay, at once', 'auth-service', [atOnce.relay]),
    ],
  };
}

function tabulateRatios(rounds: readonly Round[], atOnce: Round): Table {
  const ratios = rounds.map(ratioOf);
  return {
    title: 'relay ÷ bare publish, of neighbouring rounds',
    columns: ['median', 'min', 'max', 'spread', `${ROWS_AT_ONCE} at once`].map((name) => ({ name, digits: 3 })),
    rows: [[median(ratios), percentile(ratios, 0), percentile(ratios, 1), spread(ratios), ratioOf(atOnce)]],
  };
}

/** Every row is one message, in both streams: a lost one would be a fast one. */
async function check(scene: Scene, rows: number): Promise<string[]> {
  const counts = [await countMessages(scene, EVENTS_STREAM_NAME), await countMessages(scene, BARE_STREAM)];
  return counts.every((count) => count === rows) ? [] : [`${rows} rows became ${counts.join(' and ')} messages`];
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options, progress } = context;
  const { rounds: roundCount = ROUNDS_DEFAULT } = options;
  const scene = await setScene(context);
  await measureRound(scene, WARM_UP_ROWS);
  progress(`warm; ${roundCount} rounds of ${ROWS_PER_ROUND} rows on each side`);
  const rounds: Round[] = [];
  const measure = async (rows: number): Promise<Round> => {
    const round = await measureRound(scene, rows);
    const rates = [round.relay, round.bare].map((drain) => rateOf(drain).toFixed(0));
    progress(`${rows} rows: relay ${rates[0]}/s, bare ${rates[1]}/s, ratio ${ratioOf(round).toFixed(3)}`);
    return round;
  };
  while (rounds.length < roundCount) rounds.push(await measure(ROWS_PER_ROUND));
  const atOnce = await measure(ROWS_AT_ONCE);
  const drains = [...rounds, atOnce].flatMap(({ relay, bare }) => [relay, bare]);
  const usage = describeUsage(scene.servers, drains.map((drain) => drain.usage));
  const sides = (side: keyof Round): number => median(rounds.map((round) => rateOf(round[side])));
  return {
    headlines: [
      {
        row: 10,
        figure: 'relay drains 50,000 rows ÷ bare pipelined publish',
        value: median(rounds.map(ratioOf)),
        unit: 'ratio',
        target: TARGET,
        better: 'higher',
        sides: { 'bare pipelined publish, events/s': sides('bare'), 'relay, events/s': sides('relay') },
      },
    ],
    tables: [
      tabulate(rounds, atOnce),
      tabulateRatios(rounds, atOnce),
      usage.table,
      ...(scene.profiler?.tabulate() ?? []),
    ],
    conditions: {
      ...scene.bench.conditions,
      rounds_of_each_side: roundCount,
      events_of_each_round: ROWS_PER_ROUND,
      events_of_a_user_in_a_round: EVENTS_PER_USER,
      in_flight_of_the_bare_publisher: IN_FLIGHT_MAX,
    },
    notes: [
      ...usage.notes,
      'The bare publisher has the same messages, ids and headers in memory and publishes them into a stream of the same ' +
        'kind on the same server. The relay’s time is from the commit of the rows until the last one is marked; its CPU ' +
        'and PostgreSQL’s include writing the rows.',
    ],
    problems: await check(scene, WARM_UP_ROWS + roundCount * ROWS_PER_ROUND + ROWS_AT_ONCE),
  };
}

export const relayDrain: BenchScenario = {
  name: 'relay-drain',
  description: 'the relay empties a full outbox, beside a bare pipelined publish of the same messages',
  options: [`--rounds (${ROUNDS_DEFAULT} of ${ROWS_PER_ROUND} rows, then ${ROWS_AT_ONCE} at once) --profile`],
  run,
};
