import { withUserLock } from '../db/user-lock.ts';
import { findListedAccount, listAccounts, setDisabled, type ListedAccount } from '../features/accounts/index.ts';
import { isAnySession, revokeSessions } from '../features/sessions/index.ts';
import { CommandError, readCount, type ServiceCommand } from './command.ts';
import { getAccount } from './named-account.ts';

function setStatus(isDisabled: boolean): ServiceCommand['run'] {
  return async (context, { positionals: [who] }) => {
    const { userId, name } = await getAccount(context, who);
    const done = await withUserLock(context.db, userId, async (tx) => {
      const isChanged = await setDisabled(tx, userId, isDisabled);
      const which = isAnySession;
      const ended = isDisabled ? await revokeSessions(tx, { userId, which, reason: 'user_disabled', traceparent: null }) : 0;
      return { isChanged, ended };
    });
    const { isChanged = false, ended = 0 } = done ?? {};
    const state = isDisabled ? `is disabled. ${ended} sessions ended.` : 'may log in.';
    return {
      data: { user_id: userId, disabled: isDisabled, changed: isChanged, ended_sessions: ended },
      lines: [`${name} (user ${userId}) ${state}`],
    };
  };
}

/** `infrasignal users unlock` */
export const unlockUser: ServiceCommand = {
  name: 'users unlock',
  usage: '<user id | phone number>',
  summary: 'Forgets failed logins of an account: nobody has to wait, and a password that they disabled is good again.',
  examples: ['infrasignal users unlock 0123456789'],
  run: async (context, { positionals: [who] }) => {
    const { userId, name } = await getAccount(context, who);
    const hadFailures = await context.features.loginAttempts.forget(userId);
    return {
      data: { user_id: userId, changed: hadFailures },
      lines: [`${name} (user ${userId}) ${hadFailures ? 'has no failed logins any more.' : 'had no failed logins.'}`],
    };
  },
};

/** `infrasignal users disable` */
export const disableUser: ServiceCommand = {
  name: 'users disable',
  usage: '<user id | phone number>',
  summary: 'Bans an account: no login, no refresh, and its sessions and sockets end at once.',
  examples: ['infrasignal users disable 0123456789'],
  run: setStatus(true),
};

/** `infrasignal users enable` */
export const enableUser: ServiceCommand = {
  name: 'users enable',
  usage: '<user id | phone number>',
  summary: 'Lets a banned account log in again; its former sessions stay ended.',
  examples: ['infrasignal users enable 42'],
  run: setStatus(false),
};

const LIST_LIMIT = 50;

/** A terminal shows no more at once, and a script goes on with `--after`. */
const LIST_LIMIT_MAX = 10_000;

/** Ids fit a double exactly. */
const AFTER_MAX = 999_999_999_999_999;

function toData(account: ListedAccount): Record<string, unknown> {
  return {
    user_id: account.userId,
    kind: account.kind,
    phone_number: account.phoneNumberE164,
    name: account.name,
    email: account.email,
    scopes: account.scopes,
    created_at: account.createdAt,
    last_login_at: account.lastLoginAt,
    disabled_at: account.disabledAt,
    sessions: account.sessions,
    event_seq: account.eventSeq,
    password_kind: account.passwordKind,
  };
}

function formatTime(time: Date | null): string {
  return time === null ? 'never' : time.toISOString().slice(0, 19).replace('T', ' ');
}

/** `infrasignal users list` */
export const listUsers: ServiceCommand = {
  name: 'users list',
  usage: '[--limit <count>] [--after <user id>] [--disabled]',
  summary: 'Lists accounts in the order of their ids.',
  details: [
    `  --limit <count>     how many (${LIST_LIMIT}, at most ${LIST_LIMIT_MAX})`,
    '  --after <user id>   go on behind that one',
    '  --disabled          only banned ones',
  ],
  examples: ['infrasignal users list --limit 10', 'infrasignal users list --after 50 --json'],
  options: { limit: { type: 'string' }, after: { type: 'string' }, disabled: { type: 'boolean' } },
  run: async ({ db }, given) => {
    const limit = readCount(given, 'limit', { fallback: LIST_LIMIT, min: 1, max: LIST_LIMIT_MAX });
    const afterId = readCount(given, 'after', { fallback: 0, min: 0, max: AFTER_MAX });
    const accounts = await listAccounts(db, { afterId, limit, isDisabledOnly: given.options.disabled === true });
    const last = accounts.at(-1);
    const lines = accounts.map((account) => {
      const state = account.disabledAt === null ? '' : '  disabled';
      const sessions = `${account.sessions} sessions`.padEnd(12);
      return `${String(account.userId).padStart(8)}  ${account.name.padEnd(20)} ${sessions} ${formatTime(account.lastLoginAt)}${state}`;
    });
    const isMore = accounts.length === limit && last !== undefined;
    return {
      data: accounts.map(toData),
      lines: [
        ...(lines.length === 0 ? ['There are none.'] : lines),
        ...(isMore ? [`There may be more: --after ${last.userId}`] : []),
      ],
    };
  },
};

/** `infrasignal users show` */
export const showUser: ServiceCommand = {
  name: 'users show',
  usage: '<user id | phone number>',
  summary: 'Shows an account: its state, scopes, sessions and the kind of its password hash.',
  examples: ['infrasignal users show 0123456789', 'infrasignal users show 42 --json'],
  run: async (context, { positionals: [who] }) => {
    const { userId } = await getAccount(context, who);
    const account = await findListedAccount(context.db, userId);
    if (account === null) throw new CommandError(`there is no account ${userId}`);
    return {
      data: toData(account),
      lines: [
        `user ${account.userId} (${account.kind})`,
        `  name        ${account.name}`,
        `  number      ${account.phoneNumberE164 ?? 'none'}`,
        `  e-mail      ${account.email ?? 'none'}`,
        `  scopes      ${account.scopes.join(', ') || 'none'}`,
        `  created     ${formatTime(account.createdAt)}`,
        `  last login  ${formatTime(account.lastLoginAt)}`,
        `  disabled    ${account.disabledAt === null ? 'no' : `since ${formatTime(account.disabledAt)}`}`,
        `  sessions    ${account.sessions}`,
        `  events      ${account.eventSeq}`,
        `  password    ${account.passwordKind ?? 'none'}`,
      ],
    };
  },
};

/** `infrasignal users revoke-sessions` */
export const revokeUserSessions: ServiceCommand = {
  name: 'users revoke-sessions',
  usage: '<user id | phone number>',
  summary: 'Ends all sessions of an account: its tokens are refused and its sockets closed; it may log in again.',
  examples: ['infrasignal users revoke-sessions 0123456789'],
  run: async (context, { positionals: [who] }) => {
    const { userId, name } = await getAccount(context, who);
    const ended = await context.features.sessions.endAllSessions(userId, 'session_ended');
    return { data: { user_id: userId, ended_sessions: ended }, lines: [`${name} (user ${userId}): ${ended} sessions ended.`] };
  },
};

/** `infrasignal users delete` */
export const deleteUser: ServiceCommand = {
  name: 'users delete',
  usage: '<user id | phone number> --yes',
  summary: 'Deletes an account with everything that is held about it; its number is free again.',
  details: ['There is no way back. Its events leave the stream with their age, after seven days.'],
  examples: ['infrasignal users delete 0123456789 --yes'],
  options: { yes: { type: 'boolean' } },
  run: async (context, { positionals: [who], options }) => {
    const { userId, name } = await getAccount(context, who);
    if (options.yes !== true) throw new CommandError(`this deletes ${name} (user ${userId}) for good: say --yes`);
    const isDeleted = await context.features.accounts.deleteByOrder(userId);
    if (!isDeleted) throw new CommandError(`there is no account ${userId} any more`);
    return { data: { user_id: userId, deleted: true }, lines: [`${name} (user ${userId}) is deleted.`] };
  },
};
