import { FILE_SUFFIX, type Setting, type SettingTable } from '../../packages/service-kit/src/settings.ts';
import { settings as authSettings } from '../../services/auth-service/src/config.ts';
import { settings as notifySettings } from '../../services/notify-service/src/config.ts';
import { decidedByLocalStack, localStackSettings } from './local-stack-settings.ts';
import { code, GENERATED_NOTE, renderTable } from './markdown.ts';

function renderFallback({ fallback, isSecret }: Setting<unknown>): string {
  if (fallback === undefined) return '**must be set**';
  if (isSecret || fallback === '') return '–';
  const value = (Array.isArray(fallback) ? fallback.join(',') : fallback) as string | number | boolean;
  return code(String(value));
}

/** One row per variable, in the order of the table in the source. */
export function renderSettings(table: SettingTable): string {
  const rows = Object.values(table).map((setting) => {
    const secret = setting.isSecret ? ' Secret: never logged, never shown.' : '';
    return [code(setting.name), renderFallback(setting), setting.form, `${setting.description}${secret}`];
  });
  return renderTable(['Variable', 'Default', 'Form', 'Meaning'], rows);
}

/** docs/environment.md */
export function renderEnvironment(): string {
  const localRows = localStackSettings.map(({ name, fallback, description }) => [
    code(name),
    fallback === '' ? '–' : fallback,
    description,
  ]);
  return `${GENERATED_NOTE}

# Environment variables

Each service reads its environment once, at its start, in its \`src/config.ts\`. An empty variable counts as absent. A
value that is missing or wrong ends the start with exit code 78 and one line per variable that names it.

A variable that is marked as secret may instead be set with \`${FILE_SUFFIX}\` behind its name to the path of a file that holds
the value (\`DATABASE_URL${FILE_SUFFIX}=/run/secrets/database-url\`), as Compose and Kubernetes mount secrets. White space around it
does not count; both at once are refused.

## auth-service

${renderSettings(authSettings)}

## notify-service

${renderSettings(notifySettings)}

## npm start

The local stack reads the environment and the file \`.env\` in the root of the clone (the environment wins), and hands
both to the services.

${renderTable(['Variable', 'Default', 'Meaning'], localRows)}

It decides ${decidedByLocalStack.map(code).join(', ')} and the services' \`PORT\` itself. \`DATABASE_URL\` and
\`SECRET_KEY\` go to auth-service only.
`;
}
