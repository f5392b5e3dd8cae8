import type { Broker } from '@infrasignal/service-kit';
import { AccessTokenVerifier } from '@infrasignal/token-verifier';
import { availableParallelism } from 'node:os';
import type { AuthConfig } from './config.ts';
import { AccountsService, RegistrationKeys } from './features/accounts/index.ts';
import { KeyRing } from './features/keys/index.ts';
import { NotificationsService } from './features/notifications/index.ts';
import { LoginAttempts, type LoginLimits } from './features/login-attempts/index.ts';
import { BreachedPasswords, PasswordKinds, PasswordPolicy, PasswordsService } from './features/passwords/index.ts';
import { SecurityEventPublisher, SecurityLog, type SecurityLogger } from './features/security-events/index.ts';
import { ServiceClientsService } from './features/service-clients/index.ts';
import {
  isAnySession,
  isOtherSession,
  RefreshTokens,
  revokeSessions,
  SessionOpener,
  SessionsService,
} from './features/sessions/index.ts';
import { DatabaseClock } from './db/database-clock.ts';
import type { Clock } from './lib/clock.ts';
import { HashQueue } from './lib/hash-queue.ts';
import { createPasswordHasher } from './lib/password-hasher.ts';
import type { Database } from './plugins/database-plugin.ts';

export interface FeatureHooks {
  readonly db: Database;
  /** Called after a commit that wrote an event. */
  readonly announceEvent: () => void;
  /** Where signs of attacks are published; null leaves that to a running instance. */
  readonly broker: Broker | null;
  readonly log: SecurityLogger;
  /** Told of failed background work that will be tried again. */
  readonly onError: (error: unknown) => void;
}

export interface Features {
  readonly clock: DatabaseClock;
  readonly hashQueue: HashQueue;
  readonly keyRing: KeyRing;
  readonly loginAttempts: LoginAttempts;
  readonly securityLog: SecurityLog;
  readonly sessionOpener: SessionOpener;
  readonly sessions: SessionsService;
  readonly breaches: BreachedPasswords | null;
  readonly passwordKinds: PasswordKinds;
  readonly passwords: PasswordsService;
  readonly accounts: AccountsService;
  readonly serviceClients: ServiceClientsService;
  readonly notifications: NotificationsService;
}

/** The first makes, all of them recognise. */
export function secretKeysOf(config: AuthConfig): readonly [string, ...string[]] {
  return [config.secretKey, ...config.secretKeyFallbacks];
}

/**
 * A client shows the same access token with every request for minutes: its signature is verified once. These are the
 * clients of as many minutes, in 7 MB; of more, some cost a signature each time.
 */
const REMEMBERED_TOKENS_MAX = 10_000;

/** A hash keeps a thread for its whole time. So many are left for everything else: without one, a name lookup waits. */
const THREADS_WITHOUT_HASHES = 2;

/** Hashes at once: how many are wanted, and how many of them there are threads for. */
export function hashConcurrencyOf({ hashConcurrency, threadPoolSize }: AuthConfig): { wanted: number; possible: number } {
  const wanted = hashConcurrency === 0 ? availableParallelism() : hashConcurrency;
  return { wanted, possible: Math.min(wanted, threadPoolSize - THREADS_WITHOUT_HASHES) };
}

function createHashQueue(config: AuthConfig): HashQueue {
  return new HashQueue({
    concurrency: hashConcurrencyOf(config).possible,
    waitingMax: config.hashWaitingMax,
    waitMsMax: config.hashWaitMsMax,
  });
}

function loginLimitsOf(config: AuthConfig): LoginLimits {
  return {
    failuresBeforeDelay: config.loginFailuresBeforeDelay,
    delaySeconds: config.loginDelaySeconds,
    delayMaxSeconds: config.loginDelaySecondsMax,
    failuresMax: config.loginFailuresMax,
    loginsPerAddress: { usesMax: config.addressLoginFailuresMax, usesPerHour: config.addressLoginFailuresPerHour },
    registrationsPerAddress: {
      usesMax: config.addressRegistrationsMax,
      usesPerHour: config.addressRegistrationsPerHour,
    },
    sprayingAccountsMin: config.sprayingAccountsMin,
  };
}

function allowanceOf(config: AuthConfig) {
  return {
    recipientsPerMinuteMax: config.notificationRecipientsPerMinuteMax,
    broadcastsPerMinuteMax: config.broadcastsPerMinuteMax,
  };
}

/** What everything that has to do with passwords needs. */
async function createPasswordParts(config: AuthConfig, { db, log, onError }: FeatureHooks) {
  const plainHasher = await createPasswordHasher({
    memoryKib: config.argon2MemoryKib,
    iterations: config.argon2Iterations,
  });
  const passwordKinds = await PasswordKinds.load({ db, hasher: plainHasher, onError });
  const hashQueue = createHashQueue(config);
  const breaches =
    config.passwordBreachUrl === ''
      ? null
      : new BreachedPasswords({
          baseUrl: config.passwordBreachUrl,
          onUnanswered: (error) => log.warn({ err: error }, 'no answer about breaches, passwords are accepted without'),
        });
  const policy = new PasswordPolicy({ lengthMin: config.passwordLengthMin, refusesCommon: !config.isDebug, breaches });
  const pauseAfterRefusal = (): Promise<void> => plainHasher.pauseAfterRefusal();
  return { breaches, hasher: hashQueue.wrap(plainHasher), hashQueue, passwordKinds, pauseAfterRefusal, policy };
}

/** What counts wrong passwords, and what tells operators of attacks. */
function createLoginGuards(config: AuthConfig, { db, broker, log, onError }: FeatureHooks, clock: Clock) {
  const { streamReplicas } = config;
  const securityLog = new SecurityLog({
    db,
    publisher: broker === null ? null : new SecurityEventPublisher(broker, streamReplicas),
    log,
  });
  const loginAttempts = new LoginAttempts({
    db,
    secretKey: config.secretKey,
    limits: loginLimitsOf(config),
    clock,
    onSpraying: (spraying) => securityLog.notePasswordSpraying(spraying),
    onPasswordDisabled: (userId) => securityLog.notePasswordDisabled(userId),
    onError,
  });
  return { securityLog, loginAttempts };
}

function createSessionOpener(
  config: AuthConfig,
  keyRing: KeyRing,
  refreshTokens: RefreshTokens,
  clock: Clock,
): SessionOpener {
  return new SessionOpener({
    sign: (claims) => keyRing.sign(claims),
    refreshTokens,
    clock,
    accessTtlSeconds: config.accessTokenTtlSeconds,
    idleTtlSeconds: config.sessionIdleTtlSeconds,
    ttlSeconds: config.sessionTtlSeconds,
  });
}

/**
 * What the service can do, without HTTP: the app puts routes in front of it, the command line calls it. Features never
 * import each other; what one needs of another it is given here.
 */
export async function createFeatures(config: AuthConfig, hooks: FeatureHooks): Promise<Features> {
  const { db, announceEvent, onError } = hooks;
  const secretKeys = secretKeysOf(config);
  const { tokenIssuer: issuer, tokenAudience: audience, accessTokenTtlSeconds: accessTtlSeconds } = config;
  const { signingKeyRotationDays: rotationDays, defaultRegion: region } = config;
  const clock = await DatabaseClock.load(db, onError);
  const keyRing = await KeyRing.load({ db, secretKeys, issuer, audience, accessTtlSeconds, rotationDays, onError });
  const refreshTokens = new RefreshTokens(secretKeys);
  const sessionOpener = createSessionOpener(config, keyRing, refreshTokens, clock.now);
  const passwordParts = await createPasswordParts(config, hooks);
  const { breaches, hasher, hashQueue, passwordKinds, pauseAfterRefusal, policy } = passwordParts;
  const { securityLog, loginAttempts } = createLoginGuards(config, hooks, clock.now);
  const sessions = new SessionsService({
    db,
    guardLogin: (applicant, find, tryPassword) => loginAttempts.logIn(applicant, find, tryPassword),
    hasher,
    pauseAfterRefusal,
    region,
    announceEvent,
    sessionOpener,
    refreshTokens,
    verifier: new AccessTokenVerifier({ issuer, audience, keys: keyRing, now: clock.now, rememberedMax: REMEMBERED_TOKENS_MAX }),
    idleTtlSeconds: config.sessionIdleTtlSeconds,
  });
  const passwords = new PasswordsService({
    db,
    guardProof: (applicant, tryPassword) => loginAttempts.prove(applicant, tryPassword),
    forgetFailures: (account, when) => loginAttempts.forgetting(account, when),
    hasher,
    announceEvent,
    policy,
    endOtherSessions: (tx, { userId, sessionId, traceparent }) =>
      revokeSessions(tx, { userId, which: isOtherSession(sessionId), reason: 'password_changed', traceparent }),
  });
  const accounts = new AccountsService({
    db,
    guardRegistration: (applicant, find, create) => loginAttempts.register(applicant, find, create),
    hasher,
    region,
    registrationKeys: new RegistrationKeys(secretKeys),
    reissueFirstTokens: (user, sessionId, ttlSeconds) => sessionOpener.toTokens(user, sessionId, 0, ttlSeconds),
    announceEvent,
    checkPassword: (password, context) => policy.check(password, context),
    checkBreaches: (password) => policy.checkBreaches(password),
    provePassword: (owner, password, place) => passwords.prove(owner, password, place),
    endAllSessions: (tx, { userId, traceparent }) =>
      revokeSessions(tx, { userId, which: isAnySession, reason: 'user_deleted', traceparent }),
  });
  const serviceClients = new ServiceClientsService({
    db,
    issueAccess: ({ sessionId, ...user }) => sessionOpener.issueAccess(user, sessionId),
    endSessions: (userId) => sessions.endAllSessions(userId, 'client_revoked'),
  });
  const notifications = new NotificationsService({ db, announceEvent, allowance: allowanceOf(config) });
  return {
    clock,
    hashQueue,
    keyRing,
    loginAttempts,
    securityLog,
    sessionOpener,
    sessions,
    breaches,
    passwordKinds,
    passwords,
    accounts,
    serviceClients,
    notifications,
  };
}
