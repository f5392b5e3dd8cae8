import { isSupportedCountry, type CountryCode } from 'libphonenumber-js/max';
import {
  defaultFieldNames,
  FileSurvey,
  ImportReport,
  openUserFile,
  SourceError,
  sourceFormats,
  USER_ID_MAX,
  UserImport,
  type FieldName,
  type FieldNames,
  type ImportCounts,
  type UserFile,
} from '../features/imports/index.ts';
import { CommandError, type ServiceCommand, type CommandContext, type CommandResult, type ParsedArguments } from './command.ts';
import { ProgressLine } from './progress-line.ts';

type Options = ParsedArguments['options'];

interface Settings {
  readonly path: string;
  readonly reportPath: string;
  readonly names: FieldNames;
  readonly format: (typeof sourceFormats)[number] | null;
  readonly model: string | null;
  readonly region: CountryCode;
  readonly keepsIds: boolean;
  readonly reserveUpToId: number;
  readonly isDryRun: boolean;
}

function readText(options: Options, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' ? value : null;
}

function isFieldName(name: string): name is FieldName {
  return Object.hasOwn(defaultFieldNames, name);
}

/** `--map phone_number=mobile`: the file's name for one of our fields. */
function readNames(options: Options): FieldNames {
  const names: Record<FieldName, readonly string[]> = { ...defaultFieldNames };
  for (const entry of [options.map ?? []].flat().map(String)) {
    const [, field = '', column = ''] = /^([a-z_]+)=(.+)$/s.exec(entry) ?? [];
    if (!isFieldName(field)) {
      throw new CommandError(`--map is <field>=<column>; fields are: ${Object.keys(defaultFieldNames).join(', ')}`);
    }
    names[field] = [column];
  }
  return names;
}

function readSettings({ config }: CommandContext, { positionals: [path], options }: ParsedArguments): Settings {
  if (path === undefined) throw new CommandError('say which file');
  const format = sourceFormats.find((candidate) => candidate === options.format) ?? null;
  if (options.format !== undefined && format === null) {
    throw new CommandError(`--format is one of: ${sourceFormats.join(', ')}`);
  }
  const region = readText(options, 'region') ?? config.defaultRegion;
  if (!isSupportedCountry(region)) throw new CommandError('--region is a country code such as FR');
  const reserveUpToId = Number(options['reserve-ids'] ?? 0);
  if (!Number.isInteger(reserveUpToId) || reserveUpToId < 0 || reserveUpToId > USER_ID_MAX) {
    throw new CommandError(`--reserve-ids is a whole number up to ${USER_ID_MAX}`);
  }
  const keepsIds = options['new-ids'] !== true;
  if (!keepsIds && reserveUpToId > 0) throw new CommandError('--reserve-ids goes with kept ids, not with --new-ids');
  return {
    path,
    reportPath: readText(options, 'report') ?? `${path}.report.csv`,
    names: readNames(options),
    format,
    model: readText(options, 'model'),
    region,
    keepsIds,
    reserveUpToId,
    isDryRun: options['dry-run'] === true,
  };
}

function toData(settings: Settings, survey: FileSurvey, counts: ImportCounts, reportCount: number): object {
  return {
    dry_run: settings.isDryRun,
    users: survey.records,
    imported: counts.imported,
    without_password: counts.withoutPassword,
    disabled: counts.disabled,
    without_email: counts.withoutEmail,
    staff: counts.staff,
    imported_before: counts.importedBefore,
    skipped: counts.skipped,
    refused: counts.refused,
    other_records: survey.others,
    report: settings.reportPath,
    report_entries: reportCount,
  };
}

function toLines(settings: Settings, survey: FileSurvey, counts: ImportCounts, seconds: number): string[] {
  const line = (count: number, text: string): string[] => (count === 0 ? [] : [`${String(count).padStart(9)} ${text}`]);
  const imported = settings.isDryRun ? 'would be imported' : 'imported';
  const isReported = counts.refused + counts.skipped + counts.withoutEmail + counts.staff > 0;
  return [
    `${survey.records} users in ${settings.path}`,
    ...line(counts.imported, imported),
    ...line(counts.withoutPassword, '  of them without a password'),
    ...line(counts.disabled, '  of them disabled'),
    ...line(counts.withoutEmail, '  of them without the e-mail address they had'),
    ...line(counts.staff, '  of them formerly staff: nobody gets rights by an import, see `infrasignal scopes grant`'),
    ...line(counts.importedBefore, 'imported before'),
    ...line(counts.skipped, 'left alone: an account with the number exists'),
    ...line(counts.refused, 'refused'),
    ...line(survey.others, 'records of other models, not looked at'),
    ...(isReported ? [`Who and why: ${settings.reportPath}`] : []),
    `${seconds.toFixed(1)} s, ${Math.round(survey.records / Math.max(seconds, 0.001))} users a second.`,
    ...(settings.isDryRun ? ['Nothing was changed.'] : []),
  ];
}

/** Shows how far a reading of the file is. */
function follow(progress: ProgressLine, title: string, file: UserFile): (bytesRead: number, records: number) => void {
  return (bytesRead, records) => {
    progress.show({ title, records, share: Math.min(1, bytesRead / Math.max(1, file.bytes)) });
  };
}

async function importFile(context: CommandContext, settings: Settings): Promise<CommandResult> {
  const startedAtMs = performance.now();
  const { db, terminal } = context;
  const { names, region, keepsIds, reserveUpToId, isDryRun } = settings;
  const file = await openUserFile(settings.path, settings);
  const progress = new ProgressLine(terminal);
  const show = { now: follow(progress, 'checking', file) };
  const onProgress = (bytesRead: number, records: number): void => show.now(bytesRead, records);
  try {
    const survey = await FileSurvey.of(file, { names, region, onProgress });
    if (survey.records === 0) throw new CommandError(`there is no user in ${settings.path}`);
    show.now = follow(progress, isDryRun ? 'comparing' : 'importing', file);
    const report = await ImportReport.create(settings.reportPath, file.placeName);
    const work = new UserImport({ db, keepsIds, reserveUpToId, isDryRun, report: (entry) => report.add(entry) });
    try {
      await work.run(survey);
    } finally {
      await report.close();
    }
    const { counts } = work;
    return {
      data: toData(settings, survey, counts, report.count),
      lines: toLines(settings, survey, counts, (performance.now() - startedAtMs) / 1_000),
      isPartial: counts.refused > 0,
    };
  } finally {
    progress.end();
  }
}

/** `infrasignal import-django` */
export const importDjango: ServiceCommand = {
  name: 'import-django',
  usage: '<file> [--dry-run] [--new-ids] [options]',
  summary: 'Brings in the users of a Django application, with their passwords and ids.',
  details: [
    'The file is what `manage.py dumpdata` wrote (JSON, or --format jsonl), JSON lines, or a CSV with a header. It is',
    'read twice, never held whole. Fields: id or pk, phone_number or username, email, password, date_joined,',
    'last_login, is_active, is_staff; phone_number and password must be there.',
    '',
    '  --dry-run            look and report, change nothing',
    '  --report <path>      where to say who was not imported, and why (<file>.report.csv)',
    '  --new-ids            give everybody a new id; without it ids are kept, and taken ones refused',
    '  --reserve-ids <id>   keep the ids up to this one free for later files: the old system goes on registering',
    '  --region <country>   whose national numbers are meant (DEFAULT_REGION)',
    '  --map <field>=<name> what the file calls a field; may be repeated',
    '  --model <app.model>  which objects of a dump are the users, if it has two kinds that could be',
    `  --format <format>    ${sourceFormats.join(', ')}; the beginning of the file tells it otherwise`,
    '',
    'Accounts that exist are never changed. After an interruption run it again: it goes on where it was.',
    'Exit code 0: all are in. 3: some were refused, the report says which. 2: the file cannot be read; nothing was done.',
    'The whole way of moving: docs/moving-from-django.md',
  ],
  examples: [
    'infrasignal import-django users.json --dry-run',
    'infrasignal import-django users.csv --region BE --map phone_number=mobile',
  ],
  options: {
    'dry-run': { type: 'boolean' },
    'new-ids': { type: 'boolean' },
    'reserve-ids': { type: 'string' },
    report: { type: 'string' },
    region: { type: 'string' },
    map: { type: 'string', multiple: true },
    model: { type: 'string' },
    format: { type: 'string' },
  },
  run: async (context, given) => {
    try {
      return await importFile(context, readSettings(context, given));
    } catch (error) {
      throw error instanceof SourceError ? new CommandError(error.message) : error;
    }
  },
};
