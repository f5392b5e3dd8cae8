import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { errorCode, errorText, StackError } from './stack-error.ts';

export type Environment = Record<string, string | undefined>;

/** The real environment laid over a `.env` file (which need not exist): what is really set wins. */
export function readEnvironment(envFile: string, environment: Environment): Environment {
  let text: string;
  try {
    text = readFileSync(envFile, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { ...environment };
    throw new StackError(`${envFile} cannot be read: ${errorText(error)}`, 'Make it readable, or remove it.', {
      cause: error,
    });
  }
  return { ...parseEnv(text), ...environment };
}

/** A port number from the environment. @throws StackError when it is set to something else. */
export function readPort(environment: Environment, name: string): number | undefined {
  const value = environment[name];
  if (value === undefined || value === '') return undefined;
  return parsePort(value, name);
}

/** @throws StackError that names the setting. */
export function parsePort(value: string, name: string): number {
  const port = Number(value);
  if (/^\d+$/.test(value) && port >= 1 && port <= 65_535) return port;
  throw new StackError(`${name} is "${value}", which is no port`, `Set ${name} to a number from 1 to 65535.`);
}

// What npm and the shell around it put into the environment of a script, and what would change how Node runs.
const NOT_FOR_SERVICES = /^(npm_|NODE_OPTIONS$|INIT_CWD$|PWD$|OLDPWD$|SHLVL$|_$)/;

/** The variables that are handed to the services, before the stack adds its own. */
export function forServices(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !NOT_FOR_SERVICES.test(name)));
}
