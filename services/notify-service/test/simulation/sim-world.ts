import { ModelBroker } from './model-broker.ts';
import { EVERYBODY, ModelOutbox } from './model-outbox.ts';
import { BrokenPromiseError, type ClientKind, type Observer } from './observer.ts';
import { SimClient, type CursorChoice, type RenewalChoice } from './sim-client.ts';
import { SimNode, type Sabotage } from './sim-node.ts';
import { Random, VirtualTime } from './virtual-time.ts';

/** The relay looks for what is due this often. */
const RELAY_POLL_MS = 50;

/** By then everything that was cut off, drained or asleep is back; the longest wait is for a dead connection's pings. */
const REST_MS_MAX = 120_000;

const STAFF = 9;

const CLIENTS: readonly ClientKind[] = [
  { userId: 1, isFeed: false, isV1: true },
  { userId: 2, isFeed: false, isV1: true },
  { userId: STAFF, isFeed: true, isV1: true },
  { userId: 1, isFeed: false, isV1: false },
  { userId: 1, isFeed: false, isV1: true },
  { userId: STAFF, isFeed: true, isV1: false },
];

const NODES = 2;

/** One thing that happens, and how long nothing else is done after it. */
export type Action = { readonly waitMs: number } & (
  | { readonly kind: 'login' | 'garbage'; readonly user: number; readonly count: number }
  | { readonly kind: 'news' | 'garbageNews'; readonly count: number }
  | { readonly kind: 'revoke'; readonly client: number; readonly isEverywhere?: boolean }
  | { readonly kind: 'renew'; readonly client: number; readonly token: RenewalChoice }
  | { readonly kind: 'comeBack'; readonly client: number; readonly cursor: CursorChoice }
  | { readonly kind: 'loseSocket'; readonly client: number; readonly isNoticed: boolean }
  | { readonly kind: 'stall' | 'readOn'; readonly client: number }
  | { readonly kind: 'crashNode' | 'drainNode'; readonly node: number }
  | { readonly kind: 'cutNode'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'lag'; readonly node: number; readonly ms: number }
  | { readonly kind: 'delivery'; readonly node: number; readonly fault: 'lost' | 'twice' }
  | { readonly kind: 'crashBroker'; readonly lost: number; readonly downMs: number; readonly forgetsIds: boolean }
  | { readonly kind: 'recreate'; readonly areTold: boolean }
  | { readonly kind: 'dropConsumers' }
  | { readonly kind: 'pauseBroker'; readonly ms: number }
  | { readonly kind: 'slowBroker'; readonly ms: number }
  | { readonly kind: 'evict'; readonly count: number }
  | { readonly kind: 'replicaLag'; readonly count: number }
  | { readonly kind: 'pass' }
);

export interface Schedule {
  /** Decides every delay. */
  readonly seed: number;
  readonly readsBatches: boolean;
  /** What a look at the clock takes on the nodes. */
  readonly clockCostMs: number;
  readonly actions: readonly Action[];
}

/** Clients, nodes, the broker and the outbox behind it, in a time of their own. */
export class SimWorld {
  readonly time = new VirtualTime();
  readonly random: Random;
  readonly broker: ModelBroker;
  readonly outbox: ModelOutbox;
  readonly #schedule: Schedule;
  readonly #sabotage: Sabotage;
  readonly #nodes: SimNode[] = [];
  readonly #clients: SimClient[] = [];
  readonly #ends = new Map<string, number>();
  /** Those who were there for the last word. */
  readonly #listeners = new Set<Observer>();
  #lastWordAtMs = 0;
  #sessions = 0;
  #failure: Error | null = null;

  constructor(schedule: Schedule, sabotage: Sabotage = {}) {
    this.#schedule = schedule;
    this.#sabotage = sabotage;
    this.random = new Random(schedule.seed);
    this.broker = new ModelBroker(this.time, this.random);
    this.broker.readsBatches = schedule.readsBatches;
    this.outbox = new ModelOutbox(this.broker);
    for (let at = 0; at < NODES; at += 1) this.#startNode(at);
    for (const kind of CLIENTS) this.#clients.push(new SimClient(kind, this));
    this.#poll();
  }

  /** Does all of it, lets everything come to rest, and asks whether all arrived. @throws BrokenPromiseError */
  async run(): Promise<void> {
    await this.#pass(1_000);
    for (const action of this.#schedule.actions) {
      this.#do(action);
      await this.#pass(action.waitMs);
    }
    this.#heal();
    await this.#until('comes to rest', () => this.#isAtRest);
    this.#sayLastWord();
    await this.#until('everything arrives', () => this.#hasAllArrived);
    for (const node of this.#nodes) node.crash();
  }

  chooseNode(): SimNode | null {
    const candidates = this.#nodes.filter(({ isAlive, isDraining }) => isAlive && !isDraining);
    return candidates[this.random.between(0, candidates.length)] ?? null;
  }

  openSession(): string {
    this.#sessions += 1;
    return `${this.#sessions.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
  }

  endOf(sessionId: string): number | null {
    return this.#ends.get(sessionId) ?? null;
  }

  report(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  async #pass(durationMs: number): Promise<void> {
    await this.time.pass(durationMs, () => this.#failure !== null);
    if (this.#failure !== null) throw this.#failure;
  }

  async #until(promise: string, isDone: () => boolean): Promise<void> {
    const isIt = await this.time.pass(REST_MS_MAX, () => this.#failure !== null || isDone());
    if (this.#failure !== null) throw this.#failure;
    if (!isIt) throw new BrokenPromiseError(promise, this.#describe());
  }

  #describe(): string {
    const clients = this.#clients.map(({ isLive, kind, observer }) => {
      const seqs = [...(observer?.standing ?? [])].map(([userId, seq]) => `${userId}:${seq}`).join(' ');
      return `${kind.isFeed ? 'feed' : `user ${kind.userId}`}${kind.isV1 ? '' : ' plain'} ${isLive ? 'live' : 'not live'} [${seqs}]`;
    });
    const nodes = this.#nodes.map(({ consumer, isReady }) => `${isReady ? 'ready' : 'not ready'} ${consumer.readThrough}`);
    const logs = this.outbox.users.map((userId) => `${userId}:${this.outbox.logOf(userId).length}`);
    return `${clients.join(', ')}; nodes ${nodes.join(', ')}; stream ${this.broker.stream.lastSequence}; committed ${logs.join(' ')}`;
  }

  #poll(): void {
    this.outbox.tick();
    this.time.after(RELAY_POLL_MS, () => {
      this.#poll();
    });
  }

  #startNode(at: number): void {
    this.#nodes[at] = new SimNode(this.broker, this.#schedule.clockCostMs, this.#sabotage);
  }

  #restartSoon(at: number): void {
    this.time.after(this.random.between(10, 1_500), () => {
      if (this.#nodes[at]?.isAlive === false) this.#startNode(at);
    });
  }

  #do(action: Action): void {
    const { broker, outbox } = this;
    switch (action.kind) {
      case 'login':
      case 'garbage':
        for (let at = 0; at < action.count; at += 1) outbox.login(action.user, action.kind === 'garbage');
        return;
      case 'news':
      case 'garbageNews':
        for (let at = 0; at < action.count; at += 1) outbox.broadcast(action.kind === 'garbageNews');
        return;
      case 'replicaLag':
        broker.replicaLag = action.count;
        return;
      case 'slowBroker':
        broker.slownessMs = action.ms;
        return;
      case 'evict':
        outbox.dropOldest(action.count);
        return;
      case 'pass':
        return;
      case 'revoke':
      case 'renew':
      case 'comeBack':
      case 'loseSocket':
      case 'stall':
      case 'readOn':
        this.#doToClient(action, this.#clients[action.client]!);
        return;
      case 'crashNode':
      case 'drainNode':
      case 'cutNode':
      case 'lag':
      case 'delivery':
        this.#doToNode(action, this.#nodes[action.node]!);
        return;
      case 'crashBroker':
      case 'recreate':
      case 'dropConsumers':
      case 'pauseBroker':
        this.#doToBroker(action);
    }
  }

  #doToClient(action: Extract<Action, { readonly client: number }>, client: SimClient): void {
    switch (action.kind) {
      case 'revoke':
        this.#revoke(action.isEverywhere === true ? this.#clients.filter(({ kind }) => kind.userId === client.kind.userId) : [client]);
        return;
      case 'renew':
        client.renew(action.token);
        return;
      case 'comeBack':
        client.comeBack(action.cursor);
        return;
      case 'loseSocket':
        client.lose(action.isNoticed);
        return;
      case 'stall':
      case 'readOn':
        if (client.socket !== null) client.socket.isStuck = action.kind === 'stall';
    }
  }

  /** Ends the sessions of clients of one user. */
  #revoke(clients: readonly SimClient[]): void {
    const open = clients.filter(({ sessionId }) => !this.#ends.has(sessionId));
    const [first] = open;
    if (first === undefined) return;
    const { seq } = this.outbox.revoke(first.kind.userId, open.map(({ sessionId }) => sessionId));
    for (const { sessionId } of open) this.#ends.set(sessionId, seq);
  }

  #doToNode(action: Extract<Action, { readonly node: number }>, node: SimNode): void {
    if (!node.isAlive) return;
    switch (action.kind) {
      case 'crashNode':
        node.crash();
        for (const { socket } of this.#clients) if (socket?.node === node) socket.cut(true);
        this.#restartSoon(action.node);
        return;
      case 'drainNode':
        if (node.isDraining) return;
        void node.drain().then(() => {
          for (const { socket } of this.#clients) if (socket?.node === node) socket.cut(true);
          this.#restartSoon(action.node);
        });
        return;
      case 'cutNode':
        node.link.break(action.downMs);
        return;
      case 'lag':
        node.link.lagMs = action.ms;
        return;
      case 'delivery':
        for (const consumer of node.link.consumers) consumer.fault = action.fault;
    }
  }

  #doToBroker(action: Extract<Action, { readonly kind: 'crashBroker' | 'recreate' | 'dropConsumers' | 'pauseBroker' }>): void {
    const { broker, outbox, time } = this;
    if (!broker.isUp || broker.isPaused) return;
    switch (action.kind) {
      case 'crashBroker':
        broker.kill();
        outbox.noteLost(broker.stream.loseNewest(action.lost));
        if (action.forgetsIds) broker.stream.forgetIds();
        time.after(action.downMs, () => {
          broker.start();
        });
        return;
      case 'recreate':
        outbox.noteLost(broker.stream.recreate());
        broker.dropConsumers(action.areTold);
        broker.life += 1;
        return;
      case 'dropConsumers':
        broker.dropConsumers(true);
        return;
      case 'pauseBroker':
        broker.pause();
        time.after(action.ms, () => {
          if (broker.isPaused) broker.resume();
        });
    }
  }

  /** Nothing is broken, slow or asleep any more. */
  #heal(): void {
    this.broker.replicaLag = 0;
    this.broker.slownessMs = 0;
    for (const { link } of this.#nodes) link.lagMs = 0;
    for (const { socket } of this.#clients) if (socket !== null) socket.isStuck = false;
  }

  get #isAtRest(): boolean {
    const { broker, outbox } = this;
    const { lastSequence } = broker.stream;
    return (
      broker.isUp &&
      !broker.isPaused &&
      outbox.isIdle &&
      this.#nodes.every(({ consumer, isReady }) => isReady && consumer.readThrough === lastSequence) &&
      this.#clients.every(({ isLive, sessionId, socket }) => isLive && socket?.isStuck === false && !this.#ends.has(sessionId))
    );
  }

  /** One more event for each: whoever has it, and no gap, has all. */
  #sayLastWord(): void {
    this.#lastWordAtMs = this.time.nowMs;
    for (const { observer } of this.#clients) if (observer !== null) this.#listeners.add(observer);
    for (const userId of new Set([...this.outbox.users, 1, 2, STAFF])) if (userId !== EVERYBODY) this.outbox.login(userId);
    this.outbox.broadcast();
  }

  get #hasAllArrived(): boolean {
    const { outbox } = this;
    return this.#clients.every(({ kind, observer, refusedAtMs }) => {
      // Too slow for the last words, and too much was missed by then: it was told so, with a reason that was checked.
      if (refusedAtMs >= this.#lastWordAtMs) return true;
      // What passed while it was away is lost to a client without a cursor.
      if (!kind.isV1 && observer !== null && !this.#listeners.has(observer)) return true;
      const wanted = kind.isFeed ? outbox.users : [kind.userId, EVERYBODY];
      return wanted.every((userId) => observer?.standing.get(userId) === outbox.logOf(userId).length);
    });
  }
}
