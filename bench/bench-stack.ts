import { startTestStack, type TestStack } from '@infrasignal/testkit';
import type { Conditions } from './conditions.ts';
import type { BenchContext, BenchOptions } from './scenario.ts';
import { listServers, type WatchedServer } from './server-watch.ts';

/** The OWASP minimum, which is the services' default. */
const PRODUCTION_HASHES = { ARGON2_MEMORY_KIB: '19456', ARGON2_ITERATIONS: '2' };

/** The cheapest that auth-service accepts, for what is not about passwords. */
const CHEAP_HASHES = { ARGON2_MEMORY_KIB: '256', ARGON2_ITERATIONS: '1' };

/** Settings of whatever hashes passwords. */
export const HASH_SETTINGS = { production: PRODUCTION_HASHES, cheap: CHEAP_HASHES };

/** Longer than any run: no client has to come back for another token, which would be an event of its own. */
const ACCESS_TOKEN_TTL_SECONDS = 900;

export interface BenchStackOptions {
  /** Where the command line does not say. */
  readonly hashes: NonNullable<BenchOptions['hashes']>;
  readonly authInstances?: number;
  /** True: clients speak to the gateway. Default false, whatever the command line says. */
  readonly isThroughGateway?: boolean;
  /** Added to auth-service's environment. */
  readonly authEnv?: Record<string, string>;
  /** Added to notify-service's environment. */
  readonly notifyEnv?: Record<string, string>;
}

export interface BenchStack {
  readonly stack: TestStack;
  /** Where clients send their requests, and open their sockets. */
  readonly authUrls: readonly string[];
  readonly notifyUrl: string;
  readonly servers: readonly WatchedServer[];
  readonly conditions: Conditions;
}

/** The services as real processes, set as in production but for what the conditions name. */
export async function startBenchStack({ t, options }: BenchContext, wanted: BenchStackOptions): Promise<BenchStack> {
  const { hashes = wanted.hashes } = options;
  const { authInstances = 1, isThroughGateway = false } = wanted;
  const hashSettings = HASH_SETTINGS[hashes];
  const stack = await startTestStack(t, {
    authInstances,
    hasGateway: isThroughGateway,
    isDatabaseDurable: true,
    authEnv: {
      ...hashSettings,
      ACCESS_TOKEN_TTL_SECONDS: String(ACCESS_TOKEN_TTL_SECONDS),
      ...wanted.authEnv,
    },
    ...(wanted.notifyEnv === undefined ? {} : { notifyEnv: wanted.notifyEnv }),
  });
  const [version] = await stack.database.query<{ server_version: string }>('show server_version');
  return {
    stack,
    authUrls: isThroughGateway ? [stack.url] : stack.auths.map(({ url }) => url),
    notifyUrl: isThroughGateway ? stack.url : stack.notify.url,
    servers: await listServers(stack),
    conditions: {
      postgres: version?.server_version ?? 'unknown',
      hashes: `Argon2id m=${hashSettings.ARGON2_MEMORY_KIB} t=${hashSettings.ARGON2_ITERATIONS} p=1`,
      way: isThroughGateway ? 'through the gateway' : 'straight to the services, over the loopback interface',
      processes:
        `PostgreSQL (fsync on), nats-server (sync always), auth-service × ${authInstances}, notify-service × 1` +
        `${isThroughGateway ? ', gateway' : ''}, this load generator`,
    },
  };
}
