import { ConfigurationError } from '@infrasignal/service-kit';
import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config.ts';
import { migrateDatabase, requireMigratedDatabase } from '../db/migrate.ts';
import * as schema from '../db/schema/index.ts';
import { createFeatures } from '../features.ts';
import {
  CommandError,
  type BareContext,
  type Command,
  type CommandContext,
  type CommandResult,
  type ParsedArguments,
  type Terminal,
} from './command.ts';
import { doctor } from './doctor-command.ts';
import { importDjango } from './import-commands.ts';
import { rotateKeys } from './key-commands.ts';
import { migrate } from './migrate-command.ts';
import { outboxReplay, outboxStatus } from './outbox-commands.ts';
import { grantScope, showScopes, withdrawScope } from './scope-commands.ts';
import {
  createServiceClient,
  listServiceClients,
  revokeServiceClient,
  rotateServiceClient,
} from './service-client-commands.ts';
import { outboxReconcile } from './reconcile-command.ts';
import { streamStatus } from './stream-commands.ts';
import {
  deleteUser,
  disableUser,
  enableUser,
  listUsers,
  revokeUserSessions,
  showUser,
  unlockUser,
} from './user-commands.ts';

const commands: readonly Command[] = [
  doctor,
  migrate,
  rotateKeys,
  listUsers,
  showUser,
  disableUser,
  enableUser,
  unlockUser,
  revokeUserSessions,
  deleteUser,
  grantScope,
  withdrawScope,
  showScopes,
  outboxStatus,
  outboxReplay,
  outboxReconcile,
  streamStatus,
  importDjango,
  createServiceClient,
  listServiceClients,
  rotateServiceClient,
  revokeServiceClient,
];

/** Exit codes: 0 done, 1 failed, 2 typed wrong or names something that does not exist, 3 in part, 78 configuration. */
const EXIT = { done: 0, failed: 1, usage: 2, partial: 3, configuration: 78 } as const;

function helpOf(command: Command): string[] {
  const usage = ['infrasignal', command.name, command.usage].filter((part) => part !== '').join(' ');
  const details = command.details === undefined ? [] : ['', ...command.details];
  const examples = command.examples.map((example) => `  ${example}`);
  return [`usage: ${usage} [--json]`, '', command.summary, ...details, '', 'For instance:', ...examples];
}

function help(): string[] {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'usage: infrasignal <command> [arguments] [--json]',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'infrasignal <command> --help shows examples. It needs the environment of auth-service (DATABASE_URL, SECRET_KEY …).',
    'Exit codes: 0 done; 1 failed, or the answer is no; 2 typed wrong; 3 done in part; 78 the configuration is wrong.',
  ];
}

function findCommand(argv: readonly string[]): { command: Command; rest: string[] } | null {
  for (const command of commands) {
    const words = command.name.split(' ');
    if (words.every((word, at) => argv[at] === word)) return { command, rest: argv.slice(words.length) };
  }
  return null;
}

async function withService<Result>(
  bare: BareContext,
  use: (context: CommandContext) => Promise<Result>,
): Promise<Result> {
  const config = loadConfig(bare.environment);
  await (config.isMigratingAtStart ? migrateDatabase : requireMigratedDatabase)(config.databaseUrl);
  const pool = new pg.Pool({ connectionString: config.databaseUrl, max: 2, application_name: 'infrasignal-cli' });
  pool.on('error', () => undefined);
  try {
    const db = drizzle(pool, { schema });
    const nothing = (): void => undefined;
    // The relay of a running instance finds what is committed here at its next poll.
    const hooks = { db, announceEvent: nothing, broker: null, log: { warn: nothing }, onError: nothing };
    const features = await createFeatures(config, hooks);
    return await use({ ...bare, db, config, features });
  } finally {
    await pool.end();
  }
}

function run(command: Command, bare: BareContext, given: ParsedArguments): Promise<CommandResult> {
  if ('runBare' in command) return command.runBare(bare, given);
  return withService(bare, (context) => command.run(context, given));
}

/** Runs one command line. @returns the exit code */
export async function runCli(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  terminal: Terminal,
): Promise<number> {
  const found = findCommand(argv);
  const isHelp = argv.includes('--help') || argv.length === 0;
  if (found === null) {
    for (const line of help()) (isHelp ? terminal.out : terminal.error)(line);
    return isHelp ? EXIT.done : EXIT.usage;
  }
  const { command, rest } = found;
  if (isHelp) {
    for (const line of helpOf(command)) terminal.out(line);
    return EXIT.done;
  }
  try {
    const { positionals, values } = parseArgs({
      args: rest,
      allowPositionals: true,
      options: { ...command.options, json: { type: 'boolean' } },
    });
    const given = { positionals, options: values };
    const result = await run(command, { environment, terminal }, given);
    for (const line of values.json === true ? [JSON.stringify(result.data)] : result.lines) terminal.out(line);
    if (result.isFailed === true) return EXIT.failed;
    return result.isPartial === true ? EXIT.partial : EXIT.done;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    terminal.error(`infrasignal ${command.name}: ${message}`);
    if (error instanceof ConfigurationError) return EXIT.configuration;
    const isUsage = error instanceof CommandError || (error instanceof TypeError && 'code' in error);
    if (isUsage) for (const line of helpOf(command).slice(0, 1)) terminal.error(line);
    return isUsage ? EXIT.usage : EXIT.failed;
  }
}
