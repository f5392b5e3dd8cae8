import { changeScope, grantableScopes, type GrantableScope } from '../features/accounts/index.ts';
import { CommandError, type ServiceCommand, type CommandContext, type ParsedArguments } from './command.ts';
import { getAccount } from './named-account.ts';

function getScope(name: string | undefined): GrantableScope {
  const scope = grantableScopes.find((candidate) => candidate === name);
  if (scope === undefined) throw new CommandError(`scopes are: ${grantableScopes.join(', ')}`);
  return scope;
}

function change(isGranted: boolean): ServiceCommand['run'] {
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
export const grantScope: ServiceCommand = {
  name: 'scopes grant',
  usage: '<user id | phone number> <scope>',
  summary: 'Grants a scope to an account and ends its sessions: the next login has it.',
  examples: ['infrasignal scopes grant 0123456789 notifications:all'],
  run: change(true),
};

/** `infrasignal scopes withdraw` */
export const withdrawScope: ServiceCommand = {
  name: 'scopes withdraw',
  usage: '<user id | phone number> <scope>',
  summary: 'Withdraws a scope from an account and ends its sessions and sockets.',
  examples: ['infrasignal scopes withdraw 42 notifications:all'],
  run: change(false),
};

/** `infrasignal scopes show` */
export const showScopes: ServiceCommand = {
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
