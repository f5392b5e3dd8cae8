import {
  findFreePort,
  startNatsServer,
  waitForNatsCluster,
  type NatsClusterPlace,
  type RunningNatsServer,
} from '@infrasignal/local-stack';
import type { TestContext } from './test-context.ts';
import { createTestDirectory } from './test-directory.ts';
import type { TestNats } from './test-nats.ts';

/** One server of a cluster. */
export interface TestNatsNode extends TestNats {
  /** As the cluster knows it: `n1`, `n2`, … */
  readonly name: string;
  readonly monitorPort: number;
}

export interface TestNatsClusterOptions {
  /** Default 3: the fewest that can lose one. */
  nodes?: number;
  /** Lines in nats-server's configuration language for every node. */
  extraConfig?: string;
  /** Stands between each node and the others: gets a node's route port, returns the one by which they reach it. */
  interposeRoutes?: (routePort: number) => Promise<number>;
}

/** Like one server, as far as that makes sense: its signals and restarts are for all nodes at once. */
export interface TestNatsCluster extends TestNats {
  readonly nodes: readonly TestNatsNode[];
  /** The node that decides where streams and consumers are made; null while there is none, or it cannot be found out. */
  findMetaLeader(): Promise<TestNatsNode | null>;
  /** The node that a stream is written through; null as above. */
  findStreamLeader(stream: string): Promise<TestNatsNode | null>;
  /** Waits until every node has caught up with the cluster's leader. */
  waitUntilHealthy(): Promise<void>;
}

const MONITOR_TIMEOUT_MS = 1_000;

interface JetStreamReport {
  readonly meta_cluster?: { readonly leader?: string };
  readonly account_details?: readonly {
    readonly stream_detail?: readonly { readonly name: string; readonly cluster?: { readonly leader?: string } }[];
  }[];
}

/** nats-servers of the test's own that keep their streams together, with JetStream and `sync_interval: always`. */
export async function startTestNatsCluster(
  t: TestContext,
  options: TestNatsClusterOptions = {},
): Promise<TestNatsCluster> {
  const { nodes: count = 3, extraConfig } = options;
  const names = Array.from({ length: count }, (_, at) => `n${at + 1}`);
  const places = await Promise.all(names.map((name) => choosePlace(name, options)));
  const routePorts = places.map(({ routePort, advertisedPort = routePort }) => advertisedPort);
  // One after the other: when all greet each other at the same moment, one of them now and then never hears of the leader
  // that the others choose (nats-server 2.10.27: in 1 of 126 starts; one after the other in 0 of 250).
  const nodes: TestNatsNode[] = [];
  for (const place of places) nodes.push(await startNode(t, { ...place, routePorts }, extraConfig));
  const waitUntilHealthy = (): Promise<void> =>
    waitForNatsCluster(places.map(({ monitorPort }) => monitorPort)).catch((error: unknown) => {
      throw new Error(`the cluster does not come together:\n${nodes.map((node) => node.logs()).join('\n')}`, { cause: error });
    });
  await waitUntilHealthy();
  const findByName = (name: string | undefined): TestNatsNode | null => nodes.find((node) => node.name === name) ?? null;
  return {
    ...asOneServer(nodes),
    nodes,
    findMetaLeader: async () => findByName(await agreeOn(nodes, ({ meta_cluster: meta }) => meta?.leader)),
    findStreamLeader: async (stream) => findByName(await agreeOn(nodes, (report) => leaderOf(report, stream))),
    waitUntilHealthy,
  };
}

function asOneServer(nodes: readonly TestNatsNode[]): TestNats {
  const [first] = nodes;
  if (first === undefined) throw new Error('a cluster has at least one node');
  const all = async (work: (node: TestNatsNode) => Promise<void>): Promise<void> => {
    await Promise.all(nodes.map(work));
  };
  return {
    url: nodes.map(({ url }) => url).join(','),
    port: first.port,
    storeDirectory: first.storeDirectory,
    get pid() {
      return first.pid;
    },
    kill: (signal) => all((node) => node.kill(signal)),
    stop: () => all((node) => node.stop()),
    restart: () => all((node) => node.restart()),
    logs: () => nodes.map((node) => node.logs()).join('\n'),
  };
}

interface NodePlace extends Omit<NatsClusterPlace, 'routePorts'> {
  readonly monitorPort: number;
}

async function choosePlace(serverName: string, { interposeRoutes }: TestNatsClusterOptions): Promise<NodePlace> {
  const routePort = await findFreePort();
  const advertisedPort = await interposeRoutes?.(routePort);
  return { serverName, routePort, advertisedPort, monitorPort: await findFreePort() };
}

async function startNode(
  t: TestContext,
  { monitorPort, ...cluster }: NodePlace & NatsClusterPlace,
  extraConfig: string | undefined,
): Promise<TestNatsNode> {
  const storeDirectory = createTestDirectory(t, `infrasignal-nats-${cluster.serverName}-`);
  const clientPort = await findFreePort();
  const start = (): Promise<RunningNatsServer> =>
    startNatsServer({ storeDirectory, port: clientPort, monitorPort, cluster, extraConfig });
  let server = await start();
  const { port, url } = server;
  t.teardown(() => server.kill());
  return {
    name: cluster.serverName,
    monitorPort,
    url,
    port,
    storeDirectory,
    get pid() {
      return server.pid;
    },
    kill: (signal) => server.kill(signal),
    stop: () => server.stop(),
    restart: async () => {
      await server.stop();
      server = await start();
    },
    logs: () => server.process.tail(1_000),
  };
}

function leaderOf({ account_details: accounts = [] }: JetStreamReport, name: string): string | undefined {
  const streams = accounts.flatMap(({ stream_detail: details = [] }) => details);
  return streams.find((stream) => stream.name === name)?.cluster?.leader;
}

/** What most of those say who know: a node that was just woken up still believes in what was. */
async function agreeOn(
  nodes: readonly TestNatsNode[],
  read: (report: JetStreamReport) => string | undefined,
): Promise<string | undefined> {
  const reports = await Promise.all(nodes.map((node) => readReport(node).catch(() => null)));
  const votes = new Map<string, number>();
  for (const report of reports) {
    const leader = report === null ? undefined : read(report);
    if (leader !== undefined && leader !== '') votes.set(leader, (votes.get(leader) ?? 0) + 1);
  }
  const [first, second] = [...votes].sort(([, one], [, other]) => other - one);
  return first?.[1] === second?.[1] ? undefined : first?.[0];
}

async function readReport({ monitorPort }: TestNatsNode): Promise<JetStreamReport> {
  const response = await fetch(`http://127.0.0.1:${monitorPort}/jsz?streams=true`, {
    signal: AbortSignal.timeout(MONITOR_TIMEOUT_MS),
  });
  return (await response.json()) as JetStreamReport;
}
