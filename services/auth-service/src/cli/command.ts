import type { ParseArgsConfig } from 'node:util';
import type { AuthConfig } from '../config.ts';
import type { Features } from '../features.ts';
import type { Database } from '../plugins/database-plugin.ts';

/** Where a command speaks to the person who typed it. */
export interface Terminal {
  readonly out: (line: string) => void;
  readonly error: (line: string) => void;
  /** Replaces the last line, which an empty text takes away. Absent where there is no terminal but a file or a pipe. */
  readonly redraw?: (text: string) => void;
}

/** What a command works with: the service's own features, on its own database. */
export interface CommandContext {
  readonly db: Database;
  readonly config: AuthConfig;
  readonly features: Features;
  /** For what is said before the end; the result is what `run` returns. */
  readonly terminal: Terminal;
}

export interface ParsedArguments {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
}

/** What a command has to say: an object for `--json`, lines for people. */
export interface CommandResult {
  readonly data: unknown;
  readonly lines: readonly string[];
  /** Not everything that was asked for was done, and the lines say what. */
  readonly isPartial?: boolean;
}

export interface Command {
  /** As it is typed: `scopes grant`. */
  readonly name: string;
  /** Its arguments as the help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** More than the summary says, as lines of the help. */
  readonly details?: readonly string[];
  readonly examples: readonly string[];
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  run(context: CommandContext, given: ParsedArguments): Promise<CommandResult>;
}

/** The command was typed wrong, or what it names does not exist. Its message is for the person at the terminal. */
export class CommandError extends Error {}
