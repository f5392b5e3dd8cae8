import { findAccount } from '../features/accounts/index.ts';
import { toE164 } from '../lib/phone-number.ts';
import { CommandError, type CommandContext } from './command.ts';

type Account = NonNullable<Awaited<ReturnType<typeof findAccount>>>;

/** The account that a command names, by user id or by number. @throws CommandError when there is none */
export async function getAccount({ db, config }: CommandContext, who: string | undefined): Promise<Account> {
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
