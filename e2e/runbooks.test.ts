/**
 * If this breaks: somebody follows a runbook at night, and the metric, the command or the setting that it names is not there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { runCli } from '../services/auth-service/src/cli/cli.ts';

const directory = new URL('../deploy/runbooks/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, directory), 'utf8');

const documentedNames = new Set(
  ['metrics', 'environment'].flatMap((name) => [...read(`../../docs/${name}.md`).matchAll(/^\| `([A-Za-z_]+)`/gm)].map(([, found]) => found)),
);

/** The words of a command line up to its first argument. */
function commandOf(line: string): string {
  return line.split(/ (?=-|<|\d)/, 1)[0]?.trim() ?? '';
}

async function isCommand(name: string): Promise<boolean> {
  const nothing = (): void => undefined;
  return (await runCli([...name.split(' '), '--help'], {}, { out: nothing, error: nothing })) === 0;
}

for (const name of readdirSync(directory)) {
  t.test(`${name} names only what there is`, async (t) => {
    const text = read(name);
    const names = [...text.matchAll(/\b(infrasignal_[a-z_]+)|`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, metric, setting]) => metric ?? setting);
    for (const found of names) t.ok(documentedNames.has(found), `${found ?? ''} is documented`);
    const commands = [...text.matchAll(/(?:`|^ {4,})infrasignal ([^`\n#]+)/gm)].map(([, line = '']) => commandOf(line));
    for (const command of new Set(commands)) t.ok(await isCommand(command), `infrasignal ${command}`);
    for (const [, path = ''] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      t.ok(existsSync(new URL(path, directory)), `${path} is there`);
    }
    for (const [, path = ''] of text.matchAll(/`((?:services|e2e|deploy)\/[^`*]+)`/g)) {
      t.ok(existsSync(new URL(`../../${path}`, directory)), `${path} is there`);
    }
  });
}
