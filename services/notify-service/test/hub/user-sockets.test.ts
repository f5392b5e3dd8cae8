/**
 * If this breaks: one account takes up as many sockets as it likes by spreading them over nodes; or people are cut off,
 * and told not to come back, although they have few.
 */
import type { SocketAnnouncement } from '@infrasignal/shared';
import t from 'tap';
import { UserSockets, type CountedSocket } from '../../src/hub/user-sockets.ts';
import { createRandom } from '../support/ledger.ts';

interface TestSocket {
  readonly name: string;
  readonly userId: number;
  isOpen: boolean;
  closedAtMs: number;
}

interface TestNode {
  readonly sockets: UserSockets<TestSocket>;
  readonly open: Map<TestSocket, CountedSocket<TestSocket>>;
  isAlive: boolean;
  skewMs: number;
}

/** Nodes that hear each other when the test says so. */
class Cluster {
  readonly nodes: TestNode[] = [];
  readonly evicted: string[] = [];
  nowMs = 0;
  readonly #limit: number;
  readonly #onEvict: (socket: TestSocket) => void;
  #count = 0;

  constructor(size: number, limit: number, onEvict: (socket: TestSocket) => void = () => undefined) {
    this.#limit = limit;
    this.#onEvict = onEvict;
    while (this.nodes.length < size) this.addNode();
  }

  addNode(skewMs = 0): TestNode {
    const at = this.nodes.length;
    const open = new Map<TestSocket, CountedSocket<TestSocket>>();
    const node: TestNode = {
      open,
      isAlive: true,
      skewMs,
      sockets: new UserSockets<TestSocket>({
        limit: this.#limit,
        nodeId: `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
        clock: { now: () => this.nowMs },
        timeOfDay: () => 1_000_000 + this.nowMs + node.skewMs,
        evict: (socket) => {
          open.delete(socket);
          this.#onEvict(socket);
          this.#end(socket);
          this.evicted.push(socket.name);
        },
      }),
    };
    this.nodes.push(node);
    return node;
  }

  open(node: TestNode, userId = 1, onMade: (socket: TestSocket) => void = () => undefined): TestSocket {
    this.#count += 1;
    const socket = { name: `s${this.#count}`, userId, isOpen: true, closedAtMs: Infinity };
    onMade(socket);
    const counted = node.sockets.opened(userId, socket);
    node.open.set(socket, counted);
    return socket;
  }

  close(node: TestNode, socket: TestSocket): void {
    const counted = node.open.get(socket);
    this.#end(socket);
    if (counted !== undefined) node.sockets.closed(counted);
    node.open.delete(socket);
  }

  /** Without a word to anybody. */
  kill(node: TestNode): void {
    node.isAlive = false;
    for (const socket of node.open.keys()) this.#end(socket);
  }

  #end(socket: TestSocket): void {
    if (socket.isOpen) socket.closedAtMs = this.nowMs;
    socket.isOpen = false;
  }

  /** Everybody says what there is to say, and hears it unless `isLost`. */
  talk(isLost: (from: TestNode, to: TestNode) => boolean = () => false): void {
    const said: [TestNode, SocketAnnouncement][] = [];
    for (const node of this.nodes) {
      if (!node.isAlive) continue;
      node.sockets.tick();
      const announcement = node.sockets.takeAnnouncement(true);
      if (announcement !== null) said.push([node, announcement]);
    }
    for (const [from, announcement] of said) {
      for (const to of this.nodes) if (to.isAlive && !isLost(from, to)) to.sockets.hear(announcement);
    }
  }

  pass(durationMs: number, isLost?: (from: TestNode, to: TestNode) => boolean): void {
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs; this.nowMs += 250) this.talk(isLost);
  }
}

t.test('R11 on one node, the oldest goes at once', async (t) => {
  const cluster = new Cluster(1, 3);
  const [node] = cluster.nodes as [TestNode];
  for (let count = 0; count < 3; count += 1) cluster.open(node);
  t.same(cluster.evicted, []);
  cluster.open(node);
  t.same(cluster.evicted, ['s1']);
  cluster.open(node, 2);
  t.same(cluster.evicted, ['s1'], 'each user has a limit of their own');
  cluster.close(node, [...node.open.keys()][0]!);
  cluster.open(node);
  t.same(cluster.evicted, ['s1'], 'what was closed does not count');
});

t.test('R11 over several nodes, the oldest of all goes, wherever it is and whatever the clocks say', async (t) => {
  for (const skews of [[0, 0, 0], [600_000, 0, -600_000], [-86_400_000, 86_400_000, 0]]) {
    const cluster = new Cluster(0, 3);
    const nodes = skews.map((skewMs) => cluster.addNode(skewMs));
    for (let count = 0; count < 7; count += 1) {
      cluster.open(nodes[count % 3]!);
      cluster.pass(1_000);
    }
    cluster.pass(5_000);
    t.same([...cluster.evicted].sort(), ['s1', 's2', 's3', 's4'], JSON.stringify(skews));
  }
});

t.test('R11 opened at the same moment on all nodes: exactly as many stay as may', async (t) => {
  const cluster = new Cluster(4, 10);
  for (let round = 0; round < 5; round += 1) for (const node of cluster.nodes) cluster.open(node);
  cluster.pass(6_000);
  const open = cluster.nodes.reduce((sum, node) => sum + node.open.size, 0);
  t.equal(open, 10);
});

t.test('R11 the clients of a node that died are not counted twice', async (t) => {
  const cluster = new Cluster(2, 4);
  const [dying, staying] = cluster.nodes as [TestNode, TestNode];
  cluster.open(staying);
  cluster.pass(1_000);
  for (let count = 0; count < 3; count += 1) cluster.open(dying);
  cluster.pass(1_000);
  cluster.kill(dying);
  for (let count = 0; count < 3; count += 1) cluster.open(staying);
  cluster.pass(10_000);
  t.same(cluster.evicted, [], 'four real sockets, of four that are allowed');
});

/** What a node says is believed for as long as it may have been silent, and is said four times a second. */
const STALENESS_MS = 2_500 + 250;

t.test('R11 whatever is lost, nobody is closed who has not just had more than they may', async (t) => {
  const seed = Date.now() % 1_000_000;
  t.comment(`seed ${seed}`);
  const random = createRandom(seed);
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[Math.floor(random() * items.length)];
  for (let run = 0; run < 200; run += 1) {
    const limit = 1 + Math.floor(random() * 4);
    const lossShare = random() < 0.3 ? 0 : random() * 0.5;
    const users = [1, 2];
    const all: { socket: TestSocket; node: TestNode }[] = [];
    const wrong: string[] = [];
    const cluster = new Cluster(3, limit, (victim) => {
      const others = all.filter(
        ({ socket }) =>
          socket !== victim && socket.userId === victim.userId && socket.closedAtMs > cluster.nowMs - STALENESS_MS,
      );
      if (others.length < limit) wrong.push(`${victim.name} beside ${others.length} of ${limit}`);
    });
    const open = (node: TestNode, userId: number): void => {
      cluster.open(node, userId, (socket) => all.push({ node, socket }));
    };
    for (let step = 0; step < 60; step += 1) {
      const node = pick(cluster.nodes.filter(({ isAlive }) => isAlive))!;
      if (random() < 0.6) open(node, pick(users)!);
      const closing = random() < 0.4 ? pick(all.filter(({ socket }) => socket.isOpen)) : undefined;
      if (closing !== undefined) cluster.close(closing.node, closing.socket);
      if (random() < 0.05) node.sockets.forgetOthers();
      if (random() < 0.03) {
        cluster.kill(node);
        cluster.addNode(random() * 10_000);
      }
      cluster.pass(random() < 0.5 ? 250 : 1_500, () => random() < lossShare);
    }
    cluster.pass(10_000);
    if (wrong.length > 0) t.fail(`run ${run}: ${wrong.join(', ')}`);
    for (const userId of users) {
      const count = all.filter(({ socket }) => socket.isOpen && socket.userId === userId).length;
      t.ok(count <= limit * cluster.nodes.length, 'never more than the limit on each node');
    }
  }
});

t.test('R11 what is remembered of others is bounded by what is here', async (t) => {
  const cluster = new Cluster(2, 10);
  const [here, there] = cluster.nodes as [TestNode, TestNode];
  for (let userId = 1; userId <= 100; userId += 1) cluster.open(there, userId);
  cluster.pass(1_000);
  const mine = cluster.open(here, 1);
  for (let count = 0; count < 5; count += 1) cluster.open(there, 1);
  cluster.pass(1_000);
  cluster.close(here, mine);
  // Ten more of one's own: had the others been kept, they would be too many.
  for (let count = 0; count < 10; count += 1) cluster.open(here, 1);
  t.same(here.open.size, 10);
});
