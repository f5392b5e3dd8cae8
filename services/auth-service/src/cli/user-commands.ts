import { withUserLock } from '../db/user-lock.ts';
import { setDisabled } from '../features/accounts/index.ts';
import { isAnySession, revokeSessions } from '../features/sessions/index.ts';
import type { Command } from './command.ts';
import { getAccount } from './named-account.ts';

function setStatus(isDisabled: boolean): Command['run'] {
  return async (context, { positionals: [who] }) => {
    const { userId, name } = await getAccount(context, who);
    const done = await withUserLock(context.db, userId, async (tx) => {
      const isChanged = await setDisabled(tx, userId, isDisabled);
      const which = isAnySession;
      const ended = isDisabled ? await revokeSessions(tx, { userId, which, reason: 'user_disabled' }) : 0;
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
export const unlockUser: Command = {
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
export const disableUser: Command = {
  name: 'users disable',
  usage: '<user id | phone number>',
  summary: 'Bans an account: no login, no refresh, and its sessions and sockets end at once.',
  examples: ['infrasignal users disable 0123456789'],
  run: setStatus(true),
};

/** `infrasignal users enable` */
export const enableUser: Command = {
  name: 'users enable',
  usage: '<user id | phone number>',
  summary: 'Lets a banned account log in again; its former sessions stay ended.',
  examples: ['infrasignal users enable 42'],
  run: setStatus(false),
};
