import { commonErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';

/** SQLSTATE classes and codes that say "not now" (PostgreSQL appendix A): connections, resources, shutdown, timeouts. */
const AWAY_SQLSTATE = /^(08|53|57P|57014|25P03|40001|40P01|55P03)/;

/** Node's names for a peer that cannot be reached, and node-postgres' own texts, which carry no code. */
const AWAY_SYSTEM = /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/;
const AWAY_MESSAGE = /timeout|Connection terminated|connection error|not queryable|pool after calling end/i;

/** A client should try again after a failover, which takes about this long. */
const RETRY_AFTER_SECONDS = 2;

function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (AWAY_SQLSTATE.test(code) || AWAY_SYSTEM.test(code)) return true;
  if (code === '' && AWAY_MESSAGE.test(error.message)) return true;
  return isAway(error.cause);
}

/** What the pool itself answered, before there was a connection, however often it was wrapped since. */
function findProblem(error: unknown): ProblemError | null {
  if (error instanceof ProblemError) return error;
  return error instanceof Error ? findProblem(error.cause) : null;
}

/** The caller's view of a database that is away: 503 with `Retry-After`. Null for every other error. */
export function toUnavailableProblem(error: Error): ProblemError | null {
  const refusal = findProblem(error);
  if (refusal !== null) return refusal;
  if (!isAway(error)) return null;
  const headers = { 'retry-after': String(RETRY_AFTER_SECONDS) };
  return new ProblemError(commonErrors.service_unavailable, { headers, cause: error });
}
