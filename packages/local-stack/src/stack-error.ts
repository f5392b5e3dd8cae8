/**
 * A failure that the person at the terminal can do something about. `message` names the cause in one
 * sentence, `cure` says what to type or change. The command line prints both and no stack trace.
 */
export class StackError extends Error {
  readonly cure: string;

  constructor(message: string, cure: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StackError';
    this.cure = cure;
  }
}

/** The `code` of a Node system error (`ENOENT`, `EACCES` …), or undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

/** One line that describes any thrown value. */
export function errorText(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((inner) => errorText(inner)).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
