import { parseSocketAnnouncement, SOCKET_ANNOUNCEMENTS_SUBJECT } from '@infrasignal/shared';
import type { Broker } from '@infrasignal/service-kit';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import type { UserSockets } from '../hub/user-sockets.ts';
import type { GatewayStats } from './gateway-stats.ts';

/** What changed is told together, this often: a storm of reconnects is four messages a second, as is a quiet node's life. */
const TICK_MS = 250;

/** Without anything to tell, a node says that it lives every so many ticks: once a second. */
const SIGN_OF_LIFE_TICKS = 4;

export interface SocketAnnouncerOptions {
  readonly broker: Broker;
  readonly userSockets: Pick<UserSockets<unknown>, 'takeAnnouncement' | 'hear' | 'forgetOthers' | 'tick'>;
  readonly stats: GatewayStats;
}

/** Tells the other nodes of the sockets that users have here, and hears of theirs. Core NATS: nothing is kept. */
export class SocketAnnouncer {
  readonly #options: SocketAnnouncerOptions;
  #timer: NodeJS.Timeout | null = null;
  #ticks = 0;
  #subscription: Subscription | null = null;
  #stopListening: (() => void)[] = [];

  constructor(options: SocketAnnouncerOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, userSockets } = this.#options;
    this.#stopListening = [
      broker.onConnected((connection) => {
        this.#subscribe(connection);
      }),
      broker.onDisconnected(() => {
        userSockets.forgetOthers();
      }),
    ];
    this.#timer = setInterval(() => {
      this.#tick();
    }, TICK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const stop of this.#stopListening) stop();
    this.#subscription?.unsubscribe();
  }

  /** Once per connection object, which keeps its subscriptions when it reconnects. */
  #subscribe(connection: NatsConnection): void {
    if (this.#subscription !== null && !this.#subscription.isClosed()) return;
    const { stats, userSockets } = this.#options;
    this.#subscription = connection.subscribe(SOCKET_ANNOUNCEMENTS_SUBJECT, {
      callback: (error, message) => {
        if (error !== null) return;
        const announcement = parseSocketAnnouncement(message.string());
        if (announcement === null) {
          stats.announcementsUnreadable += 1;
          return;
        }
        stats.announcementsHeard += 1;
        userSockets.hear(announcement);
      },
    });
  }

  #tick(): void {
    const { broker, stats, userSockets } = this.#options;
    userSockets.tick();
    this.#ticks += 1;
    const announcement = userSockets.takeAnnouncement(this.#ticks % SIGN_OF_LIFE_TICKS === 0);
    const { connection } = broker;
    // Taken without a broker, it is lost: its number tells the others that they missed something.
    if (announcement === null || connection === null) return;
    connection.publish(SOCKET_ANNOUNCEMENTS_SUBJECT, JSON.stringify(announcement));
    stats.announcementsSent += 1;
  }
}
