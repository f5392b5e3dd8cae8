// If this breaks, `docker compose up` stops at a file that is not there, a service gets a setting that it does not know and
// runs with a default nobody meant, or a password stands in the file.
import { PROJECT_ROOT } from '@infrasignal/local-stack';
import { createTestDirectory } from '@infrasignal/testkit';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { settings as authSettings } from '../../services/auth-service/src/config.ts';
import { settings as notifySettings } from '../../services/notify-service/src/config.ts';
import { readStages } from './dockerfile.ts';

interface Linter {
  lintFiles(paths: string[], isRecursive: boolean): { messages: { rule: string; line: number; message: string }[] }[];
}

// Its own declarations cannot be read by NodeNext.
const { DCLinter } = createRequire(import.meta.url)('dclint') as { DCLinter: new (options: object) => Linter };

const COMPOSE = join(PROJECT_ROOT, 'docker-compose.yml');

interface ComposeService {
  readonly image: string;
  readonly build?: { readonly dockerfile: string };
  readonly container_name?: string;
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly (string | { source: string })[];
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
  readonly user?: string;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly secrets: Readonly<Record<string, { file: string }>>;
  readonly configs: Readonly<Record<string, { file: string }>>;
}

const compose = parse(readFileSync(COMPOSE, 'utf8'), { merge: true }) as ComposeFile;

t.test('it is a Compose file by the published schema', async (t) => {
  const rules = { 'invalid-schema': 2 };
  const results = new DCLinter({ rules, quiet: true, debug: false, exclude: [] }).lintFiles([COMPOSE], false);
  t.equal(results.length, 1);
  const invalid = results.flatMap(({ messages }) => messages).filter(({ rule }) => rule === 'invalid-schema');
  t.same(invalid.map(({ line, message }) => [line, message]), []);
});

t.test('every setting is one of the service, and no secret stands in the file', async (t) => {
  for (const [name, settings] of [['auth-service', authSettings], ['notify-service', notifySettings]] as const) {
    const known = new Map(Object.values(settings).map((setting) => [setting.name, setting.isSecret]));
    for (const [variable, value] of Object.entries(compose.services[name]!.environment ?? {})) {
      const isFile = variable.endsWith('_FILE');
      const isSecret = known.get(variable.replace(/_FILE$/, ''));
      t.not(isSecret, undefined, `${name}: ${variable}`);
      if (isFile) t.match(value, /^\/run\/secrets\//, variable);
    }
  }
  t.notMatch(readFileSync(COMPOSE, 'utf8'), /:\/\/[^/\s]*:[^/\s]*@|PASSWORD: |SECRET_KEY: /, 'no credential');
  const gateway = readStages(readFileSync(join(PROJECT_ROOT, 'deploy/gateway/Dockerfile'), 'utf8')).at(-1)!.config.env;
  const unknown = Object.keys(compose.services.gateway!.environment ?? {}).filter((name) => !(name in gateway));
  t.same(unknown, []);
});

t.test('every file it names is there, or is made by make-secrets.sh', async (t) => {
  for (const { build } of Object.values(compose.services)) {
    if (build !== undefined) t.ok(existsSync(join(PROJECT_ROOT, build.dockerfile)), build.dockerfile);
  }
  for (const { file } of Object.values(compose.configs)) t.ok(existsSync(join(PROJECT_ROOT, file)), file);
  const directory = createTestDirectory(t);
  cpSync(join(PROJECT_ROOT, 'deploy/make-secrets.sh'), join(directory, 'make-secrets.sh'));
  execFileSync('mkdir', ['secrets'], { cwd: directory });
  execFileSync(join(directory, 'make-secrets.sh'));
  const names = Object.values(compose.secrets).map(({ file }) => file.replace('./deploy/secrets/', ''));
  t.same(readdirSync(join(directory, 'secrets')).sort(), names.sort());
  t.equal(statSync(join(directory, 'secrets')).mode & 0o777, 0o700, 'for nobody else');
  const key = readFileSync(join(directory, 'secrets/secret-key'), 'utf8');
  execFileSync(join(directory, 'make-secrets.sh'));
  t.equal(readFileSync(join(directory, 'secrets/secret-key'), 'utf8'), key, 'what is there stays');
  const used = Object.values(compose.services).flatMap(({ secrets = [] }) => secrets);
  const sources = used.map((secret) => (typeof secret === 'string' ? secret : secret.source));
  t.same([...new Set(sources)].sort(), Object.keys(compose.secrets).sort(), 'every secret has a use');
});

t.test('services can be scaled, are given time to end, and cannot write', async (t) => {
  for (const name of ['auth-service', 'notify-service']) {
    const service = compose.services[name]!;
    t.equal(service.container_name, undefined);
    t.equal(service.ports, undefined, 'no port of the machine that only one could have');
    t.equal(service.read_only, true);
    const settings = name === 'auth-service' ? authSettings : notifySettings;
    const grace = Number(service.environment?.SHUTDOWN_GRACE_SECONDS ?? settings.shutdownGraceSeconds.fallback);
    t.ok(Number(/^(\d+)s$/.exec(service.stop_grace_period ?? '')?.[1]) >= grace + 5, `${name}: stop_grace_period`);
  }
});
