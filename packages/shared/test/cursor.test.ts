// If this breaks, a client that comes back is given somebody else's events, the same ones twice, or none of those it
// missed.
import fc from 'fast-check';
import { test } from 'tap';
import {
  CURSOR_LENGTH_MAX,
  encodeFeedCursor,
  encodeOwnCursor,
  parseCursor,
  positionMatches,
  SEQUENCE_MAX,
  type StreamPosition,
} from '../src/index.ts';

// The same cases in every run: what fails here fails everywhere.
fc.configureGlobal({ seed: 20_260_102 });

const EVENT_ID = '0b9e7f1c-5a3d-4e8f-9c2b-1a2b3c4d5e6f';
const NOWHERE: StreamPosition = { sequence: 0, eventId: '' };

const userIds = fc.integer({ min: 1, max: SEQUENCE_MAX });
const sequences = fc.oneof(fc.constantFrom(0, 1, SEQUENCE_MAX), fc.nat(), fc.integer({ min: 0, max: SEQUENCE_MAX }));
const positions = fc.oneof(
  fc.constant(NOWHERE),
  fc.record({ sequence: sequences, eventId: fc.uuid() }),
) as fc.Arbitrary<StreamPosition>;

test('R4 one’s own cursor comes back as it was given', async (t) => {
  fc.assert(
    fc.property(userIds, sequences, positions, sequences, (userId, seq, position, broadcastSeq) => {
      const text = encodeOwnCursor(userId, seq, position, broadcastSeq);
      const cursor = parseCursor(text);
      if (cursor?.kind !== 'own' || text.length > CURSOR_LENGTH_MAX) return false;
      // The hint keeps the beginning of the event's id: enough to recognise it, and nothing to recognise for no event.
      const isHint = cursor.hint?.sequence === position.sequence;
      const isRecognised = positionMatches(cursor.hint!, position.eventId) === (position.eventId !== '');
      const isSame = cursor.userId === userId && cursor.seq === seq && cursor.broadcastSeq === broadcastSeq;
      return isSame && isHint && isRecognised;
    }),
  );
  t.equal(encodeOwnCursor(42, 7, { sequence: 99, eventId: EVENT_ID }), 'u1.42.7.99.0b9e7f1c5a3d');
  t.equal(encodeOwnCursor(42, 0, NOWHERE), 'u1.42.0.0.0');
  const place = { sequence: 99, eventId: EVENT_ID };
  t.equal(encodeOwnCursor(42, 7, place, 3), 'u2.42.7.99.0b9e7f1c5a3d.3', 'once there are broadcasts');
});

test('R4 the cursor of the feed of everything comes back as it was given', async (t) => {
  fc.assert(
    fc.property(positions, (position) => {
      const text = encodeFeedCursor(position);
      const cursor = parseCursor(text);
      return (
        cursor?.kind === 'feed' &&
        text.length <= CURSOR_LENGTH_MAX &&
        cursor.position.sequence === position.sequence &&
        cursor.position.eventId === position.eventId
      );
    }),
  );
  t.equal(encodeFeedCursor({ sequence: 99, eventId: EVENT_ID }), `a1.99.${EVENT_ID}`);
  t.equal(encodeFeedCursor(NOWHERE), 'a1.0.0');
});

test('R4 a plain seq is a cursor without a hint, and does not say whose', async (t) => {
  for (const seq of [0, 1, 42, SEQUENCE_MAX]) {
    t.strictSame(parseCursor(String(seq)), { kind: 'own', userId: null, seq, hint: null, broadcastSeq: 0 });
  }
});

test('R4 what no release handed out is no cursor', async (t) => {
  const mark = '0b9e7f1c5a3d';
  const refused = [
    '', ' ', '-1', '+1', '1.5', '1e3', '0x10', '01', 'NaN', 'null', '٤٢', '4２',
    '9007199254740992', '9223372036854775807', '9223372036854775808', '18446744073709551616', '1'.repeat(17),
    '42 ', ' 42', '42\n', '4\u00002',
    'u1', 'u1.42', 'u1.42.7', 'u1.42.7.99', `u1.42.7.99.${mark}.`, `u1.42.7.99.${mark}0`, `u1.42.7.99.${mark.slice(1)}`,
    `u1.42.7.99.${mark.toUpperCase()}`, `u1.0.7.99.${mark}`, `u1.-42.7.99.${mark}`, `u1.42.-7.99.${mark}`,
    `u1.42.7.-99.${mark}`, `u1.042.7.99.${mark}`, `u1.42.07.99.${mark}`, `u1.42.7.099.${mark}`, `u1.*.7.99.${mark}`,
    `u1.42.7.99.${'g'.repeat(12)}`, `u1..7.99.${mark}`, `u2.42.7.99.${mark}`, `U1.42.7.99.${mark}`,
    `u1.42.7.99.${mark}.3`, `u2.42.7.99.${mark}.`, `u2.42.7.99.${mark}.0`, `u2.42.7.99.${mark}.-1`, `u2.42.7.99.${mark}.03`,
    `u2.42.7.99.${mark}.9007199254740992`, `u2.42.7.99.3`, `u3.42.7.99.${mark}.3`,
    `u1.9007199254740992.7.99.${mark}`, `u1.42.9007199254740992.99.${mark}`, `u1.42.7.9007199254740992.${mark}`,
    'a1', 'a1.99', 'a1.99.', `a1.-1.${EVENT_ID}`, `a1.099.${EVENT_ID}`, `a1.99.${EVENT_ID}x`, `a1.99.${mark}`,
    `a1.9007199254740992.${EVENT_ID}`, `a1.99.${EVENT_ID.replaceAll('-', '')}`, `a2.99.${EVENT_ID}`,
    `v1.${EVENT_ID}.0.mac`, 'x'.repeat(100_000), `u1.42.7.99.${mark}`.padEnd(CURSOR_LENGTH_MAX + 1, '0'),
  ];
  for (const text of refused) t.equal(parseCursor(text), null, JSON.stringify(text.slice(0, 60)));
});

test('R4 any text is a cursor or none, and a cursor has one spelling', async (t) => {
  const pieces = fc.array(fc.oneof(fc.nat().map(String), fc.constantFrom('u1', 'u2', 'a1', '', '0', EVENT_ID)), { maxLength: 6 });
  const texts = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), pieces.map((parts) => parts.join('.')));
  fc.assert(
    fc.property(texts, (text) => {
      const cursor = parseCursor(text);
      if (cursor === null) return true;
      if (cursor.kind === 'feed') return encodeFeedCursor(cursor.position) === text;
      if (cursor.userId === null || cursor.hint === null) return String(cursor.seq) === text;
      return encodeOwnCursor(cursor.userId, cursor.seq, cursor.hint, cursor.broadcastSeq) === text;
    }),
    { numRuns: 2_000 },
  );
  t.pass('for 2,000 random texts');
});

test('R4 a place is recognised by the event that was there', async (t) => {
  const place = { sequence: 99, eventId: EVENT_ID };
  t.ok(positionMatches(place, EVENT_ID));
  t.notOk(positionMatches(place, EVENT_ID.replace('0b', '0c')), 'another event at a position that was used again');
  t.notOk(positionMatches(NOWHERE, EVENT_ID), 'nothing was there');
  t.notOk(positionMatches(NOWHERE, ''));
  t.notOk(positionMatches(place, ''));
});
