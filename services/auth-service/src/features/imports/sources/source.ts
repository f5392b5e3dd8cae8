import type { SourceFields } from '../former-user.ts';
import type { Refusal } from '../import-reasons.ts';

/** `csv` with a header; `json_lines` with one object a line; `json_array` is what `manage.py dumpdata` writes. */
export const sourceFormats = ['csv', 'json_lines', 'json_array'] as const;
export type SourceFormat = (typeof sourceFormats)[number];

/** One entry of the file. */
export type SourceRecord =
  | { readonly place: number; readonly fields: SourceFields }
  | { readonly place: number; readonly refusal: Refusal }
  /** An entry of a dump that is of another model than the users. */
  | { readonly place: number; readonly isOther: true };

/** The file as a whole cannot be read; nothing of it is imported. The message is for the person at the terminal. */
export class SourceError extends Error {}

/**
 * 64 Ki characters for one user: a hundred times what one takes with every field Django has. Without a limit a file
 * without line ends, or with a quote too many, would be collected into memory as one line.
 */
export const RECORD_LENGTH_MAX = 64 * 1024;
