import { ALL_BROADCASTS, ALL_SESSION_REVOCATIONS, userEventsFilter } from '@infrasignal/shared';
import type { NatsConnection } from '@nats-io/transport-node';
import type { BrokerConsumer, Delivery, EpochEnd, EpochStart } from '../../src/relay/consumer-epoch.ts';
import { StreamUnreadableError, type StreamReads } from '../../src/relay/stream-reader.ts';
import type { StreamMessage } from '../../src/relay/stream-message.ts';
import { matches, ModelStream, type Message } from './model-stream.ts';
import type { Random, VirtualTime } from './virtual-time.ts';

/** What waits for an answer is given up after this long, as in the reader. */
const REQUEST_TIMEOUT_MS = 2_000;

/** A pull that hears nothing for two heartbeats is in doubt; a connection that answers no ping is lost. */
const HEARTBEATS_MISSED_MS = 1_000;
const PINGS_MISSED_MS = 12_000;

/**
 * The broker, as far as notify-service sees it: one stream, its consumers, reads that take time and come back in any
 * order, connections that break. What a client of nats-server may count on holds here, and nothing else does.
 */
export class ModelBroker {
  readonly stream = new ModelStream();
  readonly time: VirtualTime;
  readonly random: Random;
  readonly links = new Set<BrokerLink>();
  /** Another one after each start: what the outbox relay knows a broker by. */
  life = 1;
  isUp = true;
  isPaused = false;
  readsBatches = false;
  /** What an answer may take on top of the usual. */
  slownessMs = 0;
  #replicaLag = 0;
  #waiting: (() => void)[] = [];

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.random = random;
  }

  get replicaLag(): number {
    return this.#replicaLag;
  }

  /** Other servers than the leader, which answer direct reads and have consumers, may lack so many of the newest messages. */
  set replicaLag(count: number) {
    this.#replicaLag = count;
    this.#pump();
  }

  /** Does something at the broker when the request has arrived; never, if it is not there. */
  arrive(task: () => void): void {
    this.time.after(this.random.between(0, 4), () => {
      if (!this.isUp) return;
      if (this.isPaused) this.#waiting.push(task);
      else task();
    });
  }

  /** @returns false when the broker knew the message */
  store(id: string, subject: string, data: Uint8Array): boolean {
    const isNew = this.stream.store(id, subject, data, this.time.timeOfDayMs);
    if (isNew) this.#pump();
    return isNew;
  }

  /** It is gone, and with it every consumer. */
  kill(): void {
    this.isUp = false;
    this.isPaused = false;
    this.#waiting = [];
    for (const link of this.links) {
      link.die();
      this.#breakSoon(link);
    }
  }

  start(): void {
    this.isUp = true;
    this.life += 1;
  }

  pause(): void {
    this.isPaused = true;
    const { life } = this;
    const isStill = (): boolean => this.isPaused && this.life === life;
    for (const link of this.links) {
      this.time.after(HEARTBEATS_MISSED_MS, () => {
        if (isStill()) for (const consumer of link.consumers) consumer.doubt('heartbeats_missed');
      });
      this.time.after(PINGS_MISSED_MS, () => {
        if (isStill()) link.break();
      });
    }
  }

  resume(): void {
    this.isPaused = false;
    for (const task of this.#waiting.splice(0)) task();
  }

  /** Consumers of a stream that is no more get nothing; whether they are told is another matter. */
  dropConsumers(areTold: boolean): void {
    for (const link of this.links) {
      for (const consumer of link.consumers) {
        consumer.isGone = true;
        if (areTold) {
          this.time.after(this.random.between(0, 900), () => {
            consumer.doubt('consumer_gone');
          });
        }
      }
    }
  }

  #breakSoon(link: BrokerLink): void {
    this.time.after(this.random.between(0, 30), () => {
      link.break();
    });
  }

  #pump(): void {
    for (const link of this.links) for (const consumer of link.consumers) consumer.pump();
  }
}

/** One node's connection to the broker: made in the background, and made anew for ever. */
export class BrokerLink implements StreamReads {
  readonly consumers = new Set<ModelConsumer>();
  /** On top of what every delivery takes. */
  lagMs = 0;
  readonly broker: ModelBroker;
  readonly #identity = {} as NatsConnection;
  readonly #connected = new Set<(connection: NatsConnection) => void>();
  readonly #disconnected = new Set<() => void>();
  #isConnected = false;
  #isClosed = false;
  #isDead = false;
  /** Answers that were on their way over an earlier connection do not arrive. */
  #generation = 0;

  constructor(broker: ModelBroker) {
    this.broker = broker;
    broker.links.add(this);
    this.#connectLater();
  }

  get connection(): NatsConnection | null {
    return this.#isConnected ? this.#identity : null;
  }

  get readsBatches(): boolean {
    return this.broker.readsBatches;
  }

  get generation(): number {
    return this.#generation;
  }

  onConnected(listener: (connection: NatsConnection) => void): () => void {
    this.#connected.add(listener);
    if (this.#isConnected) listener(this.#identity);
    return () => this.#connected.delete(listener);
  }

  onDisconnected(listener: () => void): () => void {
    this.#disconnected.add(listener);
    return () => this.#disconnected.delete(listener);
  }

  /** Nothing comes and goes any more; that is noticed when it breaks. */
  die(): void {
    this.#isDead = true;
    this.#generation += 1;
    this.consumers.clear();
  }

  /** @param downMs it is not made anew before */
  break(downMs = 0): void {
    if (!this.#isConnected || this.#isClosed) return;
    this.#isConnected = false;
    this.#generation += 1;
    this.consumers.clear();
    for (const listener of this.#disconnected) listener();
    this.#connectLater(downMs);
  }

  /** Its process is gone. */
  close(): void {
    this.#isClosed = true;
    this.#isConnected = false;
    this.#generation += 1;
    this.consumers.clear();
    this.broker.links.delete(this);
  }

  async createConsumer(start: EpochStart, filter: string | null): Promise<BrokerConsumer> {
    return this.#ask(() => {
      const { replicaLag, stream } = this.broker;
      const isOnReplica = replicaLag > 0 && this.broker.random.happens(0.5);
      const lastSequence = isOnReplica ? Math.max(stream.firstSequence - 1, stream.lastSequence - replicaLag) : stream.lastSequence;
      const wanted =
        'fromSequence' in start
          ? start.fromSequence
          : start.fromTimeMs === null
            ? stream.firstSequence
            : stream.sequenceAtTime(start.fromTimeMs);
      // A start past the end, as the consumer's server knows it, is quietly moved to the end.
      const from = Math.min(Math.max(wanted, stream.firstSequence), lastSequence + 1);
      const consumer = new ModelConsumer(this, { from, filter, isOnReplica, lastSequence });
      this.consumers.add(consumer);
      return consumer;
    });
  }

  findNewestAtLeader(userId: number): Promise<StreamMessage | null> {
    return this.#ask(() => this.broker.stream.newest(userEventsFilter(userId)));
  }

  findNewestBroadcastAtLeader(): Promise<StreamMessage | null> {
    return this.#ask(() => this.broker.stream.newest(ALL_BROADCASTS));
  }

  findNewestRevocationAtLeader(): Promise<StreamMessage | null> {
    return this.#ask(() => this.broker.stream.newest(ALL_SESSION_REVOCATIONS));
  }

  findNext(userId: number, fromSequence: number): Promise<StreamMessage | null> {
    return this.#ask(() => this.#directly(userEventsFilter(userId), fromSequence, 1)[0] ?? null);
  }

  findNextAtLeader(userId: number, fromSequence: number): Promise<StreamMessage | null> {
    return this.#ask(() => this.broker.stream.following(userEventsFilter(userId), fromSequence, 1)[0] ?? null);
  }

  readBatch(userId: number | null, fromSequence: number, countMax: number): Promise<StreamMessage[]> {
    const filter = userId === null ? null : userEventsFilter(userId);
    // It may bring fewer than there are.
    return this.#ask(() => this.#directly(filter, fromSequence, Math.min(countMax, this.broker.random.between(1, 9))));
  }

  findAt(sequence: number): Promise<StreamMessage | null> {
    return this.#ask(() => (sequence > this.#replicaEnd() ? null : this.broker.stream.at(sequence)));
  }

  findAtLeader(sequence: number): Promise<StreamMessage | null> {
    return this.#ask(() => this.broker.stream.at(sequence));
  }

  getState(): Promise<{ createdAt: string; firstSequence: number; lastSequence: number }> {
    return this.#ask(() => this.broker.stream.state);
  }

  /** A request over this connection. @throws StreamUnreadableError */
  ask<Answer>(answer: () => Answer): Promise<Answer> {
    return this.#ask(answer);
  }

  #directly(filter: string | null, fromSequence: number, countMax: number): Message[] {
    return this.broker.stream.following(filter, fromSequence, countMax, this.#replicaEnd());
  }

  #replicaEnd(): number {
    const { random, replicaLag, stream } = this.broker;
    return stream.lastSequence - random.between(0, replicaLag + 1);
  }

  #ask<Answer>(answer: () => Answer): Promise<Answer> {
    const generation = this.#generation;
    const { broker } = this;
    return new Promise((resolve, reject) => {
      if (!this.#isConnected) {
        reject(new StreamUnreadableError());
        return;
      }
      const giveUp = broker.time.after(REQUEST_TIMEOUT_MS, () => {
        reject(new StreamUnreadableError());
      });
      if (this.#isDead) return;
      broker.arrive(() => {
        if (generation !== this.#generation) return;
        const value = answer();
        const slownessMs = broker.slownessMs === 0 ? 0 : broker.random.between(0, broker.slownessMs);
        broker.time.after(slownessMs + broker.random.between(0, 6), () => {
          if (generation !== this.#generation) return;
          giveUp();
          resolve(value);
        });
      });
    });
  }

  #connectLater(downMs = 0): void {
    const { broker } = this;
    broker.time.after(downMs + broker.random.between(1, 400), () => {
      if (this.#isClosed) return;
      if (!broker.isUp || broker.isPaused) {
        this.#connectLater();
        return;
      }
      this.#isConnected = true;
      this.#isDead = false;
      for (const listener of this.#connected) listener(this.#identity);
    });
  }
}

interface ConsumerPlace {
  readonly from: number;
  readonly filter: string | null;
  /** It lives on a server that may lag behind, and had this much when it was created. */
  readonly isOnReplica: boolean;
  readonly lastSequence: number;
}

/** An ordered consumer without acknowledgements: messages come in order, and one after the other. */
export class ModelConsumer implements BrokerConsumer {
  readonly startsAfter: number;
  readonly pendingAtStart: number;
  readonly #link: BrokerLink;
  readonly #filter: string | null;
  readonly #isOnReplica: boolean;
  /** What its server has. */
  #lastSequence: number;
  readonly #generation: number;
  isGone = false;
  /** The next delivery is lost, or comes twice. */
  fault: 'lost' | 'twice' | null = null;
  #nextSequence: number;
  #deliveries = 0;
  #lastDueMs = 0;
  #onDelivery: ((delivery: Delivery) => void) | null = null;
  #onDoubt: ((reason: EpochEnd) => void) | null = null;

  constructor(link: BrokerLink, { from, filter, isOnReplica, lastSequence }: ConsumerPlace) {
    const { stream } = link.broker;
    this.#link = link;
    this.#filter = filter;
    this.#isOnReplica = isOnReplica;
    this.#lastSequence = lastSequence;
    this.#generation = link.generation;
    this.#nextSequence = from;
    this.startsAfter = from - 1;
    this.pendingAtStart = stream.following(filter, from, Infinity, lastSequence).length;
  }

  async read(onDelivery: (delivery: Delivery) => void, onDoubt: (reason: EpochEnd) => void): Promise<void> {
    this.#onDelivery = onDelivery;
    this.#onDoubt = onDoubt;
    this.pump();
  }

  stop(): void {
    this.#onDelivery = null;
    this.#onDoubt = null;
    this.isGone = true;
  }

  async delete(): Promise<void> {
    this.#link.consumers.delete(this);
  }

  doubt(reason: EpochEnd): void {
    if (this.#generation === this.#link.generation) this.#onDoubt?.(reason);
  }

  pump(): void {
    if (this.#onDelivery === null || this.isGone) return;
    const { replicaLag, stream } = this.#link.broker;
    this.#nextSequence = Math.max(this.#nextSequence, stream.firstSequence);
    // What a server has, it keeps.
    this.#lastSequence = Math.max(this.#lastSequence, stream.lastSequence - (this.#isOnReplica ? replicaLag : 0));
    while (this.#nextSequence <= this.#lastSequence) {
      const message = stream.at(this.#nextSequence);
      if (message === null) return;
      this.#nextSequence += 1;
      if (matches(this.#filter, message.subject)) this.#send(message);
    }
  }

  #send(message: Message): void {
    const { fault } = this;
    this.fault = null;
    this.#deliveries += 1;
    if (fault !== 'lost') this.#deliver({ message, deliverySequence: this.#deliveries });
    if (fault !== 'twice') return;
    this.#deliveries += 1;
    this.#deliver({ message, deliverySequence: this.#deliveries });
  }

  #deliver(delivery: Delivery): void {
    const { broker, lagMs } = this.#link;
    const { random, time } = broker;
    // One connection: what was sent first arrives first.
    this.#lastDueMs = Math.max(this.#lastDueMs, time.nowMs + lagMs + random.between(0, 5));
    time.after(this.#lastDueMs - time.nowMs, () => {
      if (this.#generation === this.#link.generation) this.#onDelivery?.(delivery);
    });
  }
}
