import { loadConfig } from '../config.ts';
import { findMissingMigrations, migrateDatabase } from '../db/migrate.ts';
import type { BareCommand } from './command.ts';

/** `infrasignal migrate` */
export const migrate: BareCommand = {
  name: 'migrate',
  usage: '[--dry-run]',
  summary: 'Brings the database to the schema of this release.',
  details: [
    'Instances of the previous release go on working meanwhile and afterwards; there is no way back but a backup.',
    'Several at once do no harm: one migrates, the others wait for it.',
    '',
    '  --dry-run   say what is missing, change nothing',
    '',
    'Exit code 3 with --dry-run: something is missing.',
  ],
  examples: ['infrasignal migrate --dry-run', 'infrasignal migrate'],
  options: { 'dry-run': { type: 'boolean' } },
  runBare: async ({ environment }, { options }) => {
    const { databaseUrl } = loadConfig(environment);
    const isDryRun = options['dry-run'] === true;
    const missing = await findMissingMigrations(databaseUrl);
    if (!isDryRun) await migrateDatabase(databaseUrl);
    const list = missing.map((name) => `  ${name}`);
    const title = isDryRun ? 'Missing:' : 'Applied:';
    return {
      data: isDryRun ? { missing } : { applied: missing },
      lines: missing.length === 0 ? ['The database has the schema of this release.'] : [title, ...list],
      isPartial: isDryRun && missing.length > 0,
    };
  },
};
