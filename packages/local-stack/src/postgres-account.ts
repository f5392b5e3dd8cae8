import { execFileSync, spawnSync } from 'node:child_process';
import { errorText, StackError } from './stack-error.ts';

/** The operating-system user that the database server runs as. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

const ACCOUNT_NAME = 'postgres';

/**
 * PostgreSQL refuses to run as root. For root this returns the unprivileged user `postgres`, creating it
 * where it is missing; for everybody else undefined: the server runs as oneself.
 */
export function resolvePostgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return findAccount(ACCOUNT_NAME) ?? createAccount();
}

/** True when that account (or oneself) can reach and use `path` in the given way: the kernel is asked. */
export function canAccess(account: Account | undefined, path: string, mode: 'r' | 'w' | 'x'): boolean {
  const result = spawnSync('test', [`-${mode}`, path], {
    cwd: '/',
    stdio: 'ignore',
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  });
  return result.status === 0;
}

function findAccount(name: string): Account | undefined {
  const readId = (flag: string): number => {
    const text = execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return Number(text);
  };
  try {
    return { name, uid: readId('-u'), gid: readId('-g') };
  } catch {
    return undefined;
  }
}

function createAccount(): Account {
  try {
    execFileSync(
      'useradd',
      ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/bin/false', ACCOUNT_NAME],
      { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' },
    );
  } catch (error) {
    throw missingAccount(errorText(error), error);
  }
  const account = findAccount(ACCOUNT_NAME);
  if (account === undefined) throw missingAccount('useradd reported success, yet there is no such user');
  return account;
}

function missingAccount(reason: string, error?: unknown): StackError {
  return new StackError(
    `PostgreSQL does not run as root, and the user "${ACCOUNT_NAME}" for it could not be created: ${reason}`,
    'Create it (`useradd --system postgres`) or start as an ordinary user.',
    { cause: error },
  );
}
