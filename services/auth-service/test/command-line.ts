import type { TestDatabase } from '@infrasignal/testkit';
import { runCli } from '../src/cli/cli.ts';
import { testEnvironment } from './auth-fixture.ts';

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** Runs `infrasignal …` with an environment of one's own. */
export async function infrasignalWith(environment: Record<string, string>, ...argv: string[]): Promise<Run> {
  const [out, error]: [string[], string[]] = [[], []];
  const code = await runCli(argv, environment, { out: (line) => out.push(line), error: (line) => error.push(line) });
  return { code, out: out.join('\n'), error: error.join('\n') };
}

/** Runs `infrasignal …` on the fixture's database. */
export function infrasignal(
  { database, nats }: { readonly database: TestDatabase; readonly nats: { readonly url: string } },
  ...argv: string[]
): Promise<Run> {
  return infrasignalWith(testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }), ...argv);
}

/** What a run with `--json` said. */
export function readJson<Data>({ out }: Run): Data {
  return JSON.parse(out) as Data;
}
