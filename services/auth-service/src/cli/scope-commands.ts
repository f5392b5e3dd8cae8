import { changeScope, findAccount, grantableScopes, type GrantableScope } from '../features/accounts/index.ts';
import { toE164 } from '../lib/phone-number.ts';
import { CommandError, type Command, type CommandContext, type ParsedArguments } from './command.ts';

type Account = NonNullable<Awaited<ReturnType<typeof findAccount>>>;

async function getAccount({ db, config }: CommandContext, who: string | undefined): Promise<Account> {
  if (who === undefined) throw new CommandError('say whose: a user id, or a phone number');
  const phoneNumberE164 = toE164(who, config.defaultRegion);
  const isId = /^[1-9]\d{0,8}$/.test(who);
  const account = await findAccount(db, {
    ...(isId ? { userId: Number(who) } : {}),
    ...(phoneNumberE164 === null ? {} : { phoneNumberE164 }),
  });
  if (account === null) throw new CommandError(`there is no account ${who}`);
  return account;
}

function getScope(name: string | undefined): GrantableScope {
  const scope = grantableScopes.find((candidate) => candidate === name);
  if (scope === undefined) throw new CommandError(`scopes are: ${grantableScopes.join(', ')}`);
  return scope;
}

function change(isGranted: boolean): Command['run'] {
  return async (context: CommandContext, { positionals: [who, scopeName] }: ParsedArguments) => {
    const scope = getScope(scopeName);
    const { userId, name } = await getAccount(context, who);
    const isChanged = await changeScope(context.db, userId, scope, isGranted);
    // Tokens and sockets carry the scopes of their moment; ending the sessions makes the change hold at once.
    const ended = isChanged ? await context.features.sessions.endAllSessions(userId, 'scopes_changed') : 0;
    const verb = isGranted ? 'has' : 'no longer has';
    return {
      data: { user_id: userId, scope, granted: isGranted, changed: isChanged, ended_sessions: ended },
      lines: [`${name} (user ${userId}) ${verb} ${scope}. ${ended} sessions ended.`],
    };
  };
}

/** `infrasignal scopes grant` */
export const grantScope: Command = {
  name: 'scopes grant',
  usage: '<user id | phone number> <scope>',
  summary: 'Grants a scope to an account and ends its sessions: the next login has it.',
  examples: ['infrasignal scopes grant 0123456789 notifications:all'],
  run: change(true),
};

/** `infrasignal scopes withdraw` */
export const withdrawScope: Command = {
  name: 'scopes withdraw',
  usage: '<user id | phone number> <scope>',
  summary: 'Withdraws a scope from an account and ends its sessions and sockets.',
  examples: ['infrasignal scopes withdraw 42 notifications:all'],
  run: change(false),
};

/** `infrasignal scopes show` */
export const showScopes: Command = {
  name: 'scopes show',
  usage: '<user id | phone number>',
  summary: 'Shows the scopes of an account.',
  examples: ['infrasignal scopes show 42'],
  run: async (context, { positionals: [who] }) => {
    const { userId, name, scopes } = await getAccount(context, who);
    const list = scopes.length === 0 ? 'no scope' : scopes.join(', ');
    return { data: { user_id: userId, scopes }, lines: [`${name} (user ${userId}): ${list}`] };
  },
};
