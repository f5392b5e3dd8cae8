import fc, { type Arbitrary } from 'fast-check';
import { frame, type FrameOptions } from '../support/raw-client.ts';

/** What a frame is, before it is bytes. */
interface FrameDraft extends FrameOptions {
  readonly payload: Buffer;
}

/** What somebody sends on a socket, byte by byte. */
export interface FrameStream {
  readonly bytes: Buffer;
  readonly isV1: boolean;
  /** True: in one packet with the handshake, before anything of the answer is known. */
  readonly isPrompt: boolean;
}

const MESSAGES = [
  '{"type":"ping"}', '{"type":"pong"}', '{"type":"auth","access":"a.b.c"}', '{"type":"auth"}', '{"type":"auth","access":7}',
  '{"type":"ping","type":"pong"}', '{"type":["ping"]}', '{"type":"ping","x":"\\ud800"}', '{"type":"__proto__"}',
  '{"__proto__":{"type":"ping"}}', '{"type":"ping","n":1e999}', '[{"type":"ping"}]', '"ping"', 'null', '1', '', ' ', '{',
  '{"type":"subscribe","user_id":"*"}', '{"type":"connected"}', '\ufeff{"type":"ping"}', '{"type":"ping"}\u0000',
  '{"type":"auth","access":"a.b.c","user_id":2}', '{"type":"auth","access":""}', '{"type":"PING"}', '{"type":"ping",}',
  '['.repeat(8_000), `{"type":"auth","access":"${'x'.repeat(16_000)}"}`, `"${'x'.repeat(16_383)}"`,
] as const;

/** Close codes at the edges of what RFC 6455 section 7.4 allows. */
const CLOSE_CODES = [
  0, 1, 999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1014, 1015, 1016, 1999, 2999, 3000, 4001, 4500, 4999, 5000, 65_535,
] as const;

/** No UTF-8: a stray byte, a surrogate, an overlong form, a sequence cut off, more than U+10FFFF. */
const NO_UTF_8 = ['ff', 'eda080', 'c0af', 'e282', 'f4908080', '80'].map((hex) => Buffer.from(hex, 'hex'));

const share = fc.double({ min: 0, max: 1, noNaN: true });
const mask = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ minLength: 4, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constant(new Uint8Array(4)) },
);

const messageTexts = fc.oneof(
  { weight: 3, arbitrary: fc.constant(MESSAGES[0]) },
  { weight: 4, arbitrary: fc.constantFrom<string>(...MESSAGES) },
  { weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
);

const closePayloads = fc
  .tuple(fc.constantFrom(...CLOSE_CODES), fc.oneof(fc.constant(Buffer.alloc(0)), fc.constant(Buffer.from('é')), fc.constantFrom(...NO_UTF_8)))
  .map(([code, reason]) => Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason]));

const payloads = fc.oneof(
  { weight: 4, arbitrary: messageTexts.map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.constantFrom(...NO_UTF_8).map((bytes) => Buffer.concat([Buffer.from('"'), bytes, Buffer.from('"')])) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 20_000 }).map((length) => Buffer.alloc(length, 0x20)) },
  { weight: 1, arbitrary: closePayloads },
);

/** Mostly what a client may send; each member wrong now and then. */
const oddFrames: Arbitrary<FrameDraft> = fc
  .record({
    payload: payloads,
    mask,
    opcode: fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, { weight: 4, arbitrary: fc.integer({ min: 0, max: 15 }) }),
    isFinal: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.boolean() }),
    reserved: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }) }),
    isMasked: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.boolean() }),
    length: fc.oneof(
      { weight: 10, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.constantFrom(0, 1, 125, 126, 65_535, 65_536, 17_000_000, 2 ** 40, Number.MAX_SAFE_INTEGER) },
    ),
  })
  .map(({ length, ...draft }) => (length === null ? draft : { ...draft, length }));

const closeFrames: Arbitrary<FrameDraft> = fc.record({ payload: closePayloads, mask, opcode: fc.constant(8) });

const pings: Arbitrary<FrameDraft> = fc.record({
  payload: fc.uint8Array({ maxLength: 125 }).map((bytes) => Buffer.from(bytes)),
  mask,
  opcode: fc.constantFrom(9, 9, 10),
});

/** A message in pieces, cut anywhere, also within a character; with a ping between them or not. */
const fragmented: Arbitrary<FrameDraft[]> = fc
  .tuple(payloads, fc.array(share, { minLength: 1, maxLength: 4 }), fc.option(pings), fc.constantFrom(1, 1, 1, 2), mask)
  .map(([payload, cuts, between, opcode, mask]) => {
    const ends = [...cuts.map((cut) => Math.floor(cut * payload.length)).sort((a, b) => a - b), payload.length];
    const pieces = ends.map((end, at): FrameDraft => ({
      payload: payload.subarray(ends[at - 1] ?? 0, end),
      opcode: at === 0 ? opcode : 0,
      isFinal: at === ends.length - 1,
      mask,
    }));
    return between === null ? pieces : [pieces[0]!, between, ...pieces.slice(1)];
  });

/** Around the limits: pieces of one message (64), and messages at once (20). */
const runs: Arbitrary<FrameDraft[]> = fc.oneof(
  fc.tuple(fc.integer({ min: 61, max: 67 }), fc.boolean(), mask).map(([count, isEnded, mask]) =>
    Array.from({ length: count }, (_, at): FrameDraft => {
      const isFinal = isEnded && at === count - 1;
      return { payload: Buffer.from(at === 0 ? MESSAGES[0] : ' '), opcode: at === 0 ? 1 : 0, isFinal, mask };
    }),
  ),
  fc.tuple(fc.integer({ min: 17, max: 60 }), fc.oneof(pings, fc.record({ payload: fc.constant(Buffer.from(MESSAGES[0])), mask }))).map(
    ([count, one]) => Array.from({ length: count }, () => one),
  ),
);

const pieces: Arbitrary<FrameDraft[]> = fc.oneof(
  { weight: 8, arbitrary: oddFrames.map((one) => [one]) },
  { weight: 2, arbitrary: closeFrames.map((one) => [one]) },
  { weight: 2, arbitrary: pings.map((one) => [one]) },
  { weight: 3, arbitrary: messageTexts.map((text) => [{ payload: Buffer.from(text) }]) },
  { weight: 3, arbitrary: fragmented },
  { weight: 1, arbitrary: runs },
);

/** Up to six things that a client might send one after the other, cut off anywhere, with rubbish behind or without. */
export const frameStreams: Arbitrary<FrameStream> = fc
  .record({
    drafts: fc.array(pieces, { minLength: 1, maxLength: 6 }).map((list) => list.flat()),
    sentShare: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: share }),
    garbage: fc.oneof({ weight: 4, arbitrary: fc.constant(new Uint8Array()) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) }),
    isV1: fc.boolean(),
    isPrompt: fc.boolean(),
  })
  .map(({ drafts, sentShare, garbage, ...rest }) => {
    const whole = Buffer.concat(drafts.map(({ payload, ...options }) => frame(payload, { mask: new Uint8Array(4), ...options })));
    return { ...rest, bytes: Buffer.concat([whole.subarray(0, Math.ceil(sentShare * whole.length)), garbage]) };
  });
