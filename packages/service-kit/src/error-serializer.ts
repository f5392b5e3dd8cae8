/** What a log line says of an error. */
export interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  /** The table and the constraint that a database error names. */
  readonly table?: string;
  readonly constraint?: string;
  /** The statement, with placeholders. */
  readonly query?: string;
  /** Where it was thrown, one frame a line. */
  readonly stack: string;
  readonly cause?: LoggedError;
}

/** Deeper chains of causes than this say nothing new, and a chain can be a ring. */
const CAUSES_MAX = 5;

function framesOf(error: Error): string {
  const lines = error.stack?.split('\n') ?? [];
  return lines.filter((line) => /^\s+at /.test(line)).join('\n');
}

/** An error with a statement repeats the statement's values in its message and in the head of its stack. */
function messageOf(error: Error & { query?: unknown; params?: unknown }): string {
  return typeof error.query === 'string' && Array.isArray(error.params) ? 'Failed query' : error.message;
}

/**
 * Describes an error for the log by a list of what may be told, not by all it carries: a failed statement carries the
 * values it was given and PostgreSQL's `detail` the whole row, with phone numbers and password hashes in them.
 */
export function describeError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' };
  const { code, table, constraint, query, cause } = error as Error & Record<string, unknown>;
  return {
    type: error.constructor.name,
    message: messageOf(error),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof table === 'string' ? { table } : {}),
    ...(typeof constraint === 'string' ? { constraint } : {}),
    ...(typeof query === 'string' ? { query } : {}),
    stack: framesOf(error),
    ...(cause === undefined || depth >= CAUSES_MAX ? {} : { cause: describeError(cause, depth + 1) }),
  };
}
