/**
 * Errors have codes, and codes are for ever: clients branch on them, so a code is never renamed and never reused
 * with another meaning. Each feature lists its own in one `*-errors.ts`; docs/errors.md is generated from them.
 */
export interface ErrorDefinition {
  readonly code: string;
  /** HTTP status that the problem is answered with. */
  readonly status: number;
  /** Short and the same for every occurrence (RFC 9457 section 3.1.4). */
  readonly title: string;
  /** What it means to the caller and what to do about it; also the default `detail`. */
  readonly detail: string;
}

type ErrorTable<Code extends string> = { readonly [Key in Code]: ErrorDefinition & { readonly code: Key } };

/** Builds a table of errors from `code: [status, title, detail]`, so that a code is written once. */
export function defineErrors<const Code extends string>(
  rows: Readonly<Record<Code, readonly [status: number, title: string, detail: string]>>,
): ErrorTable<Code> {
  const entries = Object.entries(rows) as [Code, readonly [number, string, string]][];
  return Object.freeze(
    Object.fromEntries(entries.map(([code, [status, title, detail]]) => [code, { code, status, title, detail }])),
  ) as ErrorTable<Code>;
}
