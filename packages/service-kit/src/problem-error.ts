import type { ErrorDefinition, FieldProblem } from '@infrasignal/shared';

export interface ProblemOptions {
  /** Replaces the definition's detail; shown to the caller, so nothing internal belongs here. */
  readonly detail?: string;
  readonly errors?: readonly FieldProblem[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** An error that is meant for the caller: thrown anywhere in a request, answered as its problem. */
export class ProblemError extends Error {
  readonly definition: ErrorDefinition;
  readonly errors: readonly FieldProblem[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(definition: ErrorDefinition, options: ProblemOptions = {}) {
    super(options.detail ?? definition.detail, { cause: options.cause });
    this.name = 'ProblemError';
    this.definition = definition;
    this.errors = options.errors;
    this.headers = options.headers ?? {};
  }
}
