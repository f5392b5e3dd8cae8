import {
  commonErrors,
  fieldErrors,
  SCOPE_BROADCAST_NOTIFICATIONS,
  SCOPE_SEND_NOTIFICATIONS,
  type ErrorDefinition,
} from '@infrasignal/shared';
import { ProblemError, type Traced } from '@infrasignal/service-kit';
import { idempotencyErrors, readIdempotencyKey } from '../../lib/idempotency-key.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import {
  findSent,
  insertBroadcast,
  insertForUsers,
  type Allowance,
  type Sent,
  type Submission,
} from './notifications-repository.ts';
import { DATA_BYTES_MAX, type SendBody } from './notifications-schemas.ts';

export interface NotificationsDependencies {
  readonly db: Database;
  /** What one sender may send in a minute. */
  readonly allowance: Allowance;
  readonly announceEvent: () => void;
}

/** Who sends. */
export interface Sender {
  readonly userId: number;
  /** Space-separated. */
  readonly scope: string;
}

function refuseField(pointer: string, { code, detail }: ErrorDefinition): ProblemError {
  return new ProblemError(commonErrors.invalid_request, { errors: [{ pointer, code, detail }] });
}

/** RFC 6750 section 3.1. */
function lacksScope(scope: string): ProblemError {
  const headers = { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` };
  return new ProblemError(commonErrors.insufficient_scope, { detail: `This needs the scope ${scope}.`, headers });
}

/** JSON has numbers that no double is (1e999): parsed, they are infinite, and written again they would be null. */
function hasInfinity(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasInfinity);
}

function checkData(data: Readonly<Record<string, unknown>>): void {
  if (hasInfinity(data)) throw refuseField('/data', fieldErrors.invalid_value);
  if (Buffer.byteLength(JSON.stringify(data)) > DATA_BYTES_MAX) throw refuseField('/data', fieldErrors.too_long);
}

/** Sends what other services have to tell users: committed together with the events that tell it. */
export class NotificationsService {
  readonly #dependencies: NotificationsDependencies;

  constructor(dependencies: NotificationsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Asked before the body is read.
   * @throws ProblemError insufficient_scope if this sender may tell nobody anything
   */
  checkSender({ scope }: Sender): void {
    const scopes = scope.split(' ');
    const isSender = scopes.includes(SCOPE_SEND_NOTIFICATIONS) || scopes.includes(SCOPE_BROADCAST_NOTIFICATIONS);
    if (!isSender) throw lacksScope(SCOPE_SEND_NOTIFICATIONS);
  }

  /**
   * Sends a notification, once for each key.
   * @throws ProblemError insufficient_scope, invalid_request, idempotency_key_reused, throttled
   */
  async send(sender: Sender & Traced, body: SendBody, idempotencyKey: string): Promise<Sent> {
    const { db, allowance, announceEvent } = this.#dependencies;
    const { to, type, messages, data = {} } = body;
    const scope = to === 'everybody' ? SCOPE_BROADCAST_NOTIFICATIONS : SCOPE_SEND_NOTIFICATIONS;
    if (!sender.scope.split(' ').includes(scope)) throw lacksScope(scope);
    checkData(data);
    const userIds = to === 'everybody' ? null : [...new Set(to)];
    const submission: Submission = {
      senderId: sender.userId,
      idempotencyKey: readIdempotencyKey(idempotencyKey),
      request: JSON.stringify({ to: userIds ?? to, type, messages, data }),
      type,
      messages,
      data,
      traceparent: sender.traceparent,
    };
    const sent =
      userIds === null
        ? await insertBroadcast(db, submission, allowance)
        : await insertForUsers(db, submission, userIds, allowance);
    if (sent !== null) {
      announceEvent();
      return sent;
    }
    return this.#explain(submission);
  }

  /** Nothing was written: it was sent before, or too much was. */
  async #explain(submission: Submission): Promise<Sent> {
    const { sent, isSameRequest, secondsToNextMinute } = await findSent(this.#dependencies.db, submission);
    if (sent === null) {
      throw new ProblemError(commonErrors.throttled, {
        detail: 'This sender has sent as much as it may in a minute; `Retry-After` says when it may again.',
        headers: { 'retry-after': String(secondsToNextMinute) },
      });
    }
    if (!isSameRequest) throw new ProblemError(idempotencyErrors.idempotency_key_reused);
    return sent;
  }
}
