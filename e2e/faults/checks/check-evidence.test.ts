// If this breaks: the fault suite says that nothing is lost because it does not look.
import type { ClientRecord, ConnectionRecord, Operation } from '@infrasignal/testkit';
import t from 'tap';
import { checkEvidence } from './check-evidence.ts';
import { checkAllSucceeded, checkRecovery, SERVICE_MEMORY_SLACK_BYTES, type ProcessHistory } from './check-recovery.ts';
import type { Allowances, StoredEvent, StoredUser, StreamEvent } from './evidence.ts';

const START = Date.UTC(2026, 0, 1, 10);

type Mutable<Type> = Type extends readonly (infer Item)[]
  ? Mutable<Item>[]
  : Type extends object
    ? { -readonly [Key in keyof Type]: Mutable<Type[Key]> }
    : Type;

interface Run {
  operations: Mutable<Operation>[];
  clients: Mutable<ClientRecord>[];
  users: Mutable<StoredUser>[];
  outbox: Mutable<StoredEvent>[];
  stream: Mutable<StreamEvent>[];
  writtenEventIds?: ReadonlySet<string>;
}

function connection(at: number, after: string | null, frames: readonly Record<string, unknown>[]): Mutable<ConnectionRecord> {
  return {
    startedAt: START + at,
    after,
    openedAt: START + at,
    closedAt: null,
    closeCode: null,
    refusal: null,
    frames: frames.map((body, index) => ({ at: START + at + index, body })),
  };
}

const connected = (userId: number | null, seq: number | null, recovered = true): Record<string, unknown> => {
  return { type: 'connected', user_id: userId, seq, cursor: `c${seq ?? ''}`, recovered };
};

const frame = (userId: number, seq: number): Record<string, unknown> => ({
  type: seq === 1 ? 'user.registered' : 'user.login',
  user_id: userId,
  phone_number: `+3361${userId}`,
  id: `event-${userId}-${seq}`,
  seq,
  cursor: `c${seq}`,
});

/** Two users: 1 registers and logs in three times, its client is cut off once; 2 registers. A feed sees it all. */
function soundRun(): Run {
  const run: Run = { operations: [], clients: [], users: [], outbox: [], stream: [] };
  const commit = (userId: number, seq: number, at: number): void => {
    const type = seq === 1 ? 'user.registered' : 'user.login';
    const phoneNumber = `+3361${userId}`;
    const eventId = `event-${userId}-${seq}`;
    run.operations.push({
      kind: seq === 1 ? 'register' : 'login',
      phoneNumber,
      startedAt: START + at - 5,
      endedAt: START + at + 5,
      outcome: 'ok',
      userId,
      note: '200',
    });
    run.outbox.push({ eventId, userId, seq, type, phoneNumber, createdAt: START + at, isPublished: true });
    run.stream.push({ position: run.stream.length + 1, messageId: eventId, eventId, userId, seq, type });
  };
  commit(1, 1, 1_000);
  commit(2, 1, 2_000);
  commit(1, 2, 3_000);
  commit(1, 3, 4_000);
  commit(1, 4, 5_000);
  run.users.push({ id: 1, phoneNumber: '+33611', eventSeq: 4 }, { id: 2, phoneNumber: '+33612', eventSeq: 1 });
  run.clients.push(
    {
      name: 'socket',
      userId: 1,
      connections: [
        connection(1_500, null, [connected(1, 1), frame(1, 2)]),
        connection(4_500, 'c2', [connected(1, 2), frame(1, 3), frame(1, 4)]),
      ],
    },
    {
      name: 'feed',
      userId: null,
      connections: [connection(1_500, null, [connected(null, null), frame(2, 1), frame(1, 2), frame(1, 3), frame(1, 4)])],
    },
  );
  return run;
}

function check(change: (run: Run) => void, allowances: Allowances = {}): string[] {
  const run = soundRun();
  change(run);
  const { violations } = checkEvidence(run, allowances);
  return violations.map(({ invariant, text }) => `${invariant} ${text}`);
}

const nothing = (): void => undefined;

t.test('a sound run', async (t) => {
  t.same(check(nothing), []);
  const { counts } = checkEvidence(soundRun());
  t.same(counts, {
    operations: 5,
    ok: 5,
    failed: 0,
    unknown: 0,
    events: 5,
    connections: 3,
    frames: 7,
    lost: 0,
    repeated: 0,
    foreign: 0,
    unrecovered: 0,
  });
});

interface Case {
  readonly name: string;
  readonly change: (run: Run) => void;
  readonly expected: readonly RegExp[];
}

const cases: readonly Case[] = [
  {
    name: 'an operation that succeeded has no event',
    change: ({ operations }) =>
      operations.push({ ...operations[4]!, startedAt: START + 6_000, endedAt: START + 6_010 }),
    expected: [/^I1 user 1: login of \+33611 at 10:00:06.000 \(200\) succeeded, but no event was committed/],
  },
  {
    name: 'a registration that succeeded left no user',
    change: ({ operations }) => operations.push({ ...operations[0]!, phoneNumber: '+33699' }),
    expected: [/^I1 register of \+33699 .* there is no such user/],
  },
  {
    name: 'the answer named another user',
    change: ({ operations }) => (operations[1]!.userId = 7),
    expected: [/^I1 register of \+33612 .* named user 7, the database 2/],
  },
  {
    name: 'an event without an operation that may have succeeded',
    change: ({ operations }) => (operations[4]!.outcome = 'fail'),
    expected: [/^I3 user 1: seq 4 \(user.login event-1-4, .* belongs to no operation/],
  },
  {
    name: 'a user that nobody registered',
    change: ({ users }) => (users[1]!.phoneNumber = '+33688'),
    expected: [/^I1 register of \+33612 .* no such user/, /^I3 user 2: seq 1 .* asked for by nobody/],
  },
  {
    name: 'a hole in the outbox',
    change: ({ outbox }) => outbox.splice(3, 1),
    expected: [
      /^I1 user 1: event_seq is 4, but the outbox has no row for seq 3$/,
      /^I1 user 1: login .* no event was committed/,
      /^I3 user 1: the stream has seq 3 \(user.login event-1-3\) at 4, the outbox has not$/,
      /^I3 socket, connection 2 .* seq 3 \(not in the outbox\), which is not what it says/,
      /^I3 feed, connection 1 .* seq 3 \(not in the outbox\), which is not what it says/,
    ],
  },
  {
    name: 'a row beyond the counter',
    change: ({ users }) => (users[0]!.eventSeq = 3),
    expected: [/^I3 user 1: event_seq is 3, yet the outbox has seq 4$/],
  },
  {
    name: 'a row without its user',
    change: ({ users }) => users.splice(1, 1),
    expected: [
      /^I3 user 2 does not exist, yet the outbox has of it: seq 1 /,
      /^I1 register of \+33612 .* no such user/,
      /^I3 user 2: seq 1 .* asked for by nobody/,
    ],
  },
  {
    name: 'an event that never reached the broker',
    change: ({ stream }) => stream.splice(1, 1),
    expected: [/^I1 user 2: seq 1 \(.*not in the stream, marked as published\) never reached the broker$/],
  },
  {
    name: 'an event that is in the stream twice',
    change: ({ stream }) => stream.push({ ...stream[4]!, position: 6 }),
    expected: [/^I1 user 1: seq 4 .* in the stream at 5 and 6\) is in the stream 2 times/, /^I2 user 1: seq 4 follows seq 4/],
  },
  {
    name: 'an event that was never marked',
    change: ({ outbox }) => (outbox[2]!.isPublished = false),
    expected: [/^I1 user 1: seq 2 .* was never marked as published/],
  },
  {
    name: 'two events of a user in the wrong order',
    change: ({ stream }) => ([stream[2], stream[3]] = [stream[3]!, stream[2]!]),
    expected: [
      /^I2 user 1: seq 3 follows seq 1 in the stream, at 4/,
      /^I2 user 1: seq 2 follows seq 3 in the stream, at 3/,
      /^I2 user 1: seq 4 follows seq 2 in the stream, at 5/,
    ],
  },
  {
    name: 'another event under the same place',
    change: ({ stream }) => (stream[4]!.messageId = 'other'),
    expected: [/^I3 user 1: seq 4 is user.login event-1-4 in the outbox, but .* \(message id other\)/],
  },
  {
    name: 'a frame that never came, in the middle',
    change: ({ clients }) => clients[0]!.connections[1]!.frames.splice(1, 1),
    expected: [/^I2 socket, connection 2 .*after c2\) received .* seq 4 .* right after seq 2; lost: seq 3 \(user.login event-1-3/],
  },
  {
    name: 'a frame that never came, at the end',
    change: ({ clients }) => clients[0]!.connections[1]!.frames.pop(),
    expected: [/^I1 socket \(user 1\) never received seq 4 \(.*; its end: connection 2 open$/],
  },
  {
    name: 'a frame that came twice',
    change: ({ clients }) => clients[0]!.connections[1]!.frames.splice(1, 0, { at: START + 4_501, body: frame(1, 2) }),
    expected: [/^I2 socket, connection 2 .* of user 1 seq 2 .* again: it had 2 already/],
  },
  {
    name: 'a frame of somebody else',
    change: ({ clients }) => clients[0]!.connections[0]!.frames.push({ at: START + 2_000, body: frame(2, 1) }),
    expected: [/^I4 socket, connection 1 .* of user 2 seq 1/],
  },
  {
    name: 'a socket of somebody else',
    change: ({ clients }) => (clients[0]!.connections[1]!.frames[0]!.body = connected(2, 2)),
    expected: [/^I4 socket, connection 2 .* connected as user 2/],
  },
  {
    name: 'a frame that is not what the database holds',
    change: ({ clients }) => (clients[0]!.connections[0]!.frames[1]!.body = { ...frame(1, 2), phone_number: '+33600' }),
    expected: [/^I3 socket, connection 1 .* which is not what it says: .*\+33600/],
  },
  {
    name: 'a resume that says it is not whole',
    change: ({ clients }) => (clients[0]!.connections[1]!.frames[0]!.body = connected(1, 2, false)),
    expected: [/^I2 socket, connection 2 .* not recovered \(undefined\) from c2/],
  },
  {
    name: 'a client that comes back without asking for what it missed',
    change: ({ clients }) => {
      const again = clients[0]!.connections[1]!;
      again.after = null;
      again.frames.splice(0, 2, { at: START + 4_500, body: connected(1, 3, false) });
    },
    expected: [/^I2 socket, connection 2 .* right after seq 2; lost: seq 3/],
  },
  {
    name: 'a client that never got in',
    change: ({ clients }) => {
      clients[0]!.connections = [{ ...connection(1_500, null, []), closeCode: 1006, closedAt: START, refusal: 'refused with 503' }];
    },
    expected: [/^I1 socket never got connected: connection 1 closed with 1006 at 10:00:00.000, refused with 503/],
  },
  {
    name: 'a feed that misses the first event of a new user',
    change: ({ clients }) => clients[1]!.connections[0]!.frames.splice(1, 1),
    expected: [/^I1 feed \(feed\) never received of user 2: seq 1/],
  },
];

t.test('every kind of violation is found, and nothing else is said', async (t) => {
  for (const { name, change, expected } of cases) {
    const found = check(change);
    t.equal(found.length, expected.length, `${name}: ${found.join(' / ')}`);
    for (const [at, pattern] of expected.entries()) t.match(found[at], pattern, name);
  }
});

t.test('what is no violation', async (t) => {
  const unknown = check(({ operations }) => (operations[4]!.outcome = 'unknown'));
  t.same(unknown, [], 'an operation without an answer was carried out');
  const notCarriedOut = check(({ operations }) =>
    operations.push({ ...operations[4]!, outcome: 'unknown', endedAt: null, startedAt: START + 6_000 }),
  );
  t.same(notCarriedOut, [], 'an operation without an answer was not carried out');
  const written = check((run) => {
    run.operations.pop();
    run.writtenEventIds = new Set(['event-1-4']);
  });
  t.same(written, [], 'an event that the scenario wrote itself');
  const repeats = check(({ stream }) => stream.push({ ...stream[4]!, position: 6 }), { mayRepeatInStream: true });
  t.same(repeats, [], 'the broker lost its disk, and was told again');
  const resume = check(
    ({ clients }) =>
      clients[0]!.connections[1]!.frames.splice(0, 2, { at: START + 4_500, body: connected(1, 3, false) }),
    { mayLoseRecovery: true },
  );
  t.same(resume, [], 'a resume said that it is not whole');
});

t.test('I5: recovery in time, nothing ended by itself, nothing grows', async (t) => {
  const calm: ProcessHistory = {
    name: 'auth-service 1',
    faults: {},
    unexpectedEnds: [],
    memorySlackBytes: SERVICE_MEMORY_SLACK_BYTES,
    before: { descriptors: 30, memoryBytes: 40e6 },
    after: { descriptors: 40, memoryBytes: 50e6 },
  };
  const complain = (change: Partial<ProcessHistory>, recoveries: (number | string)[] = [100]): string[] =>
    [...checkRecovery({ recoveries, processes: [{ ...calm, ...change }] })].map(({ text }) => text);
  t.same(complain({}), []);
  t.match(complain({}, []), [/never waited/]);
  t.match(complain({}, [100, 5_001]), [/within 5000 ms: took 5001 ms/]);
  t.match(complain({}, ['3 rows unpublished']), [/incomplete: 3 rows unpublished/]);
  t.match(complain({ unexpectedEnds: ['process 7 is gone'] }), [/auth-service 1 ended by itself \(process 7 is gone\)/]);
  t.match(complain({ after: { descriptors: 49, memoryBytes: 40e6 } }), [/49 descriptors open, before it had 30/]);
  t.match(complain({ after: { descriptors: 30, memoryBytes: 57e6 } }), [/uses 54.4 MB, before it used 38.1 MB/]);
});

t.test('I5: requests that noticed a fault elsewhere', async (t) => {
  const { operations } = soundRun();
  t.same([...checkAllSucceeded({ operations })], []);
  operations[0]!.outcome = 'unknown';
  operations[0]!.note = '503';
  t.match([...checkAllSucceeded({ operations })], [{ text: /^register of \+33611 at 10:00:00.995: unknown, 503$/ }]);
});
