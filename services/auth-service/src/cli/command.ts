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

/** What there is before anything is known to be in order. */
export interface BareContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For what is said before the end; the result is what `run` returns. */
  readonly terminal: Terminal;
}

/** What most commands work with: the service's own features, on its own database. */
export interface CommandContext extends BareContext {
  readonly db: Database;
  readonly config: AuthConfig;
  readonly features: Features;
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
  /** The answer to what was asked is no, and the lines say why. */
  readonly isFailed?: boolean;
}

interface CommandDescription {
  /** As it is typed: `scopes grant`. */
  readonly name: string;
  /** Its arguments as the help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** More than the summary says, as lines of the help. */
  readonly details?: readonly string[];
  readonly examples: readonly string[];
  readonly options?: NonNullable<ParseArgsConfig['options']>;
}

/** A command that works on a database of this release's schema. */
export interface ServiceCommand extends CommandDescription {
  run(context: CommandContext, given: ParsedArguments): Promise<CommandResult>;
}

/** A command for when not everything is in order yet: it reads the environment and connects by itself. */
export interface BareCommand extends CommandDescription {
  runBare(context: BareContext, given: ParsedArguments): Promise<CommandResult>;
}

export type Command = ServiceCommand | BareCommand;

/** The whole number of an option. @throws CommandError for anything else */
export function readCount(
  { options }: ParsedArguments,
  name: string,
  { fallback, min, max }: { fallback: number; min: number; max: number },
): number {
  const text = options[name] ?? String(fallback);
  const value = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new CommandError(`--${name} is a whole number from ${min} to ${max}`);
}

/** The command was typed wrong, or what it names does not exist. Its message is for the person at the terminal. */
export class CommandError extends Error {}
