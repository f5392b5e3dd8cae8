import { accessSync, constants, readFileSync } from 'node:fs';

/**
 * The environment, read once and typed once. A service lists its settings in `config.ts`; from the same list come
 * the typed configuration, the refusal to start that names each wrong variable, and docs/environment.md.
 */
export interface Setting<Value> {
  /** Name of the environment variable. A unit stands last in it: `SESSION_TTL_SECONDS`. */
  readonly name: string;
  /** One or two sentences: what it does, its unit, why the default. */
  readonly description: string;
  /** Undefined: the variable must be set. */
  readonly fallback: Value | undefined;
  /** Never shown in documentation, logs or error messages. */
  readonly isSecret: boolean;
  /** What a value looks like, for the documentation. */
  readonly form: string;
  /** @throws Error whose message completes "NAME …", for instance "must be a whole number from 1 to 65535". */
  readonly parse: (text: string) => Value;
}

export type SettingTable = Readonly<Record<string, Setting<unknown>>>;
export type ConfigOf<Table extends SettingTable> = {
  readonly [Key in keyof Table]: Table[Key] extends Setting<infer Value> ? Value : never;
};

/** The environment is not usable; `problems` has one sentence per variable. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

interface SettingOptions<Value> {
  readonly description: string;
  readonly fallback?: Value;
}

function define<Value>(
  name: string,
  form: string,
  options: SettingOptions<Value>,
  parse: (text: string) => Value,
): Setting<Value> {
  return { name, form, description: options.description, fallback: options.fallback, isSecret: false, parse };
}

/** Any non-empty text. */
export function text(name: string, options: SettingOptions<string>): Setting<string> {
  return define(name, 'text', options, (value) => value);
}

/** The path of a file that can be read; empty when the variable is absent. */
export function readableFile(name: string, options: { readonly description: string }): Setting<string> {
  return define(name, 'path', { ...options, fallback: '' }, (path) => {
    try {
      accessSync(path, constants.R_OK);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
      throw new Error(`names a file that cannot be read (${code})`, { cause: error });
    }
    return path;
  });
}

/** One of a few words. */
export function oneOf<const Word extends string>(
  name: string,
  words: readonly Word[],
  options: SettingOptions<Word>,
): Setting<Word> {
  return define(name, words.join(' \\| '), options, (value) => {
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw new Error(`must be one of ${words.join(', ')}`);
    return word;
  });
}

/** A whole number within bounds; the unit stands in the name. */
export function integer(
  name: string,
  options: SettingOptions<number> & { readonly min: number; readonly max: number },
): Setting<number> {
  const { min, max } = options;
  return define(name, `${min}–${max}`, options, (value) => {
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || number < min || number > max) {
      throw new Error(`must be a whole number from ${min} to ${max}`);
    }
    return number;
  });
}

/** `true` or `false`, with the spellings that Django settings files use (`True`, `1`, `yes`, `on`). */
export function flag(name: string, options: SettingOptions<boolean>): Setting<boolean> {
  return define(name, 'true \\| false', options, (value) => {
    const word = value.toLowerCase();
    if (['true', '1', 'yes', 'on'].includes(word)) return true;
    if (['false', '0', 'no', 'off'].includes(word)) return false;
    throw new Error('must be true or false');
  });
}

/** Comma-separated words; spaces around them do not count. */
export function list(name: string, options: SettingOptions<readonly string[]>): Setting<readonly string[]> {
  return define(name, 'comma-separated', options, (value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );
}

interface UrlOptions extends SettingOptions<string> {
  readonly schemes: readonly string[];
  /** Several URLs, separated by commas, are a value too: the servers of a cluster. */
  readonly isList?: boolean;
}

/** An absolute URL with one of the given schemes. */
export function url(name: string, options: UrlOptions): Setting<string> {
  const schemes = options.schemes.map((scheme) => `${scheme}://`);
  const isUrl = (text: string): boolean => URL.canParse(text) && schemes.some((scheme) => text.startsWith(scheme));
  return define(name, `${schemes.join(' or ')}…`, options, (value) => {
    const urls = options.isList === true ? value.split(',').map((item) => item.trim()) : [value];
    if (!urls.every(isUrl)) throw new Error(`must be a URL that begins with ${schemes.join(' or ')}`);
    return value;
  });
}

/** 32 bytes: 256 bits, what HMAC-SHA-256 and AES-256 can use at most. */
const SECRET_BYTES_MIN = 32;

const SECRET_EXAMPLES = /^(django-insecure|change.?me|secret|votre_clef_secrete|replace)/i;

/** Text that must not be guessed: at least 32 bytes, and none of the values that documentation shows. */
export function secret(name: string, options: { readonly description: string }): Setting<string> {
  const setting = define<string>(name, `at least ${SECRET_BYTES_MIN} bytes`, options, checkSecret);
  return { ...setting, isSecret: true };
}

/** Several secrets, comma-separated, each as {@link secret}; none when the variable is absent. */
export function secrets(name: string, options: { readonly description: string }): Setting<readonly string[]> {
  const setting = list(name, { ...options, fallback: [] });
  return { ...setting, isSecret: true, parse: (value) => setting.parse(value).map(checkSecret) };
}

function checkSecret(value: string): string {
  if (SECRET_EXAMPLES.test(value)) throw new Error('still has a value from an example; make one of your own');
  if (Buffer.byteLength(value) < SECRET_BYTES_MIN) throw new Error(`must be at least ${SECRET_BYTES_MIN} bytes long`);
  if (new Set(value).size < 8) throw new Error('must be random text');
  return value;
}

/**
 * Marks a setting whose value carries a credential (a database URL), so that no documentation or message shows it.
 */
export function confidential<Value>(setting: Setting<Value>): Setting<Value> {
  return { ...setting, isSecret: true };
}

/** What stands behind the name of a secret's variable when its value is the path of a file that holds it. */
export const FILE_SUFFIX = '_FILE';

/**
 * The text of a setting; empty when it is absent. A secret may be in a file that `NAME_FILE` names, as Compose and
 * Kubernetes mount them: in the environment it would show in `docker inspect`, and in what every child process is given.
 */
function findText(
  { name, isSecret }: Setting<unknown>,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const value = environment[name]?.trim() ?? '';
  const path = isSecret ? (environment[`${name}${FILE_SUFFIX}`]?.trim() ?? '') : '';
  if (path === '') return value;
  // Whichever of the two won, somebody would change the other one day and wonder.
  if (value !== '') throw new Error(`and ${name}${FILE_SUFFIX} are both set; only one of them may be`);
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
    throw new Error(`cannot be read from the file that ${name}${FILE_SUFFIX} names (${code})`, { cause: error });
  }
  if (text === '') throw new Error(`is empty in the file that ${name}${FILE_SUFFIX} names`);
  return text;
}

/**
 * Reads every setting of the table; an empty variable counts as absent. Secrets may also come from files.
 * @throws ConfigurationError naming every variable that is missing or wrong, at once.
 */
export function readConfig<Table extends SettingTable>(
  table: Table,
  environment: Readonly<Record<string, string | undefined>>,
): ConfigOf<Table> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(table)) {
    try {
      const raw = findText(setting, environment);
      if (raw === '' && setting.fallback === undefined) throw new Error(`is not set (${setting.form})`);
      config[key] = raw === '' ? setting.fallback : setting.parse(raw);
    } catch (error) {
      problems.push(`${setting.name} ${error instanceof Error ? error.message : 'is not valid'}`);
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return config as ConfigOf<Table>;
}
