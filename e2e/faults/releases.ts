import { fileURLToPath } from 'node:url';
import type { ServiceProcess, StandIns, TestStack } from '@infrasignal/testkit';
import type { Victim } from './victim.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const EVENTS = '../../packages/shared/src/events';

/** How a node of the next release reads events. */
const NEXT_CATALOG: StandIns = { [path(`${EVENTS}/event-catalog.ts`)]: path('next-release/event-catalog.ts') };

/** A node that takes what it does not know for invalid. */
export const STRICT_DECODER: StandIns = {
  [path(`${EVENTS}/parse-event.ts`)]: path('next-release/parse-event-strictly.ts'),
};

export type Release = 'this' | 'next';

/** Shared by all nodes of both releases, and replaced with the release: tickets of either are shown to the other. */
const THIS_KEY = 'a ticket key of this release and long enough';
const TICKET_KEYS: Readonly<Record<Release, string>> = {
  this: THIS_KEY,
  next: `a ticket key of the next release and long enough,${THIS_KEY}`,
};

export const TICKETS_OF_THIS_RELEASE = { TICKET_KEYS: TICKET_KEYS.this };

/** Connections of auth instances of the next release are known to the database by this setting. */
const RELEASE_SETTING = 'fault.release';

/**
 * The database plays what the next release writes differently: each login has a version that this release does not
 * know, and every other event a field more than the catalogue says.
 */
export async function writeAsNextRelease({ database }: TestStack): Promise<void> {
  await database.query(`
    create function write_as_next_release() returns trigger language plpgsql as $$ begin
      if coalesce(current_setting('${RELEASE_SETTING}', true), '') <> 'next' then return new; end if;
      new.payload := new.payload || '{"device": {"name": "phone", "trusted": true}}';
      if new.type = 'user.login' then
        new.data_version := 2;
        new.payload := new.payload || '{"method": "password"}';
      end if;
      return new;
    end $$`);
  await database.query(`
    create trigger write_as_next_release before insert on outbox
    for each row execute function write_as_next_release()`);
}

/** An event of a type that only the next release knows. @returns its id */
export async function greet({ database }: TestStack, userId: number): Promise<string> {
  const [row] = await database.query<{ id: string }>(
    `with greeted as (update users set event_seq = event_seq + 1 where id = $1 returning id, phone_number, event_seq)
     insert into outbox (event_id, user_id, seq, type, data_version, payload)
     select gen_random_uuid(), id, event_seq, 'user.greeted', 1,
       jsonb_build_object('user_id', id, 'phone_number', phone_number)
     from greeted returning event_id as id`,
    [userId],
  );
  if (row === undefined) throw new Error(`there is no user ${userId} to greet`);
  return row.id;
}

/** Ended in order, and started as the other release. */
export async function replaceAuth(
  victim: Victim,
  process: ServiceProcess,
  { database }: TestStack,
  release: Release,
): Promise<void> {
  const url = new URL(database.url);
  if (release === 'next') url.searchParams.set('options', `-c ${RELEASE_SETTING}=next`);
  await victim.replace(() => process.restart({ DATABASE_URL: url.href }));
}

export async function replaceNotify(victim: Victim, process: ServiceProcess, release: Release): Promise<void> {
  const standIns = release === 'next' ? NEXT_CATALOG : {};
  await victim.replace(() => process.restart({ TICKET_KEYS: TICKET_KEYS[release] }, standIns));
}
