import { frameDefinitions } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { Compile } from 'typebox/compile';
import { frame, RawClient } from '../support/raw-client.ts';
import { expectOf, type Expectation } from './frame-oracle.ts';
import type { FrameStream } from './frame-streams.ts';

/** Far longer than anything takes, on a machine that is busy with other things. */
const ANSWER_TIMEOUT_MS = 20_000;

/** `MESSAGES_PER_SECOND_MAX`: so many at once, and so many more each second. */
const MESSAGES_PER_SECOND = 20;
const TOO_MANY_MESSAGES = 4429;

/** Sent behind what is harmless: when it is answered, everything before it was read. */
const PROBE = Buffer.from('was that all?');

const validators = frameDefinitions
  .filter(({ sentOn }) => sentOn.includes('socket'))
  .map(({ schema }) => Compile(schema));

/** What came back on a socket. */
class Answers {
  readonly #client: RawClient;

  constructor(client: RawClient) {
    this.#client = client;
  }

  get pings(): Buffer[] {
    return this.#client.frames.filter(({ opcode }) => opcode === 10).map(({ payload }) => payload);
  }

  countOf(...types: string[]): number {
    return this.#client.messages.filter((message) => {
      const { code } = message as { code?: string };
      return types.includes(code === undefined ? message.type : `${message.type} ${code}`);
    }).length;
  }

  get messagePings(): number {
    return this.countOf('pong');
  }

  get renewals(): number {
    return this.countOf('error invalid_token', 'error too_many_renewals');
  }
}

function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(what);
}

/** That the flood was closed as one, or was none. @param sinceMs when the handshake was sent */
function checkFlood({ counted }: Expectation, isClosedForIt: boolean, sinceMs: number): void {
  const allowedMax = MESSAGES_PER_SECOND * (1 + (performance.now() - sinceMs) / 1_000);
  if (isClosedForIt) check(counted > MESSAGES_PER_SECOND, `closed with ${TOO_MANY_MESSAGES} after ${counted} messages`);
  else check(counted <= allowedMax, `${counted} messages at once were taken`);
}

/** Every frame is one that may come here, `connected` before all, and nothing behind the close. */
function checkShape({ frames, messages }: RawClient, isV1: boolean): void {
  const closeAt = frames.findIndex(({ opcode }) => opcode === 8);
  check(closeAt < 0 || closeAt === frames.length - 1, 'something came behind the close frame');
  check(frames.every(({ opcode }) => [1, 8, 10].includes(opcode)), `frames of the kinds ${frames.map(({ opcode }) => opcode).join()}`);
  check(isV1 || messages.length === 0, 'somebody without the subprotocol was told something');
  const strange = messages.find((message) => !validators.some((validator) => validator.Check(message)));
  check(strange === undefined, `no frame of the protocol: ${JSON.stringify(strange)}`);
  const late = messages.findIndex(({ type }) => type === 'connected');
  check(late <= 0 && (late === 0 || messages.length === 0), 'something came before `connected`');
}

/**
 * What was answered before the end. Where RFC 6455 is broken, or the client closes, in the same packet as a message, the
 * close frame is sent at once, and no answer may follow it.
 */
function checkAnswers(answers: Answers, expected: Expectation, isWhole: boolean): void {
  const pings = answers.pings.filter((payload) => !payload.equals(PROBE));
  check(pings.every((payload, at) => payload.equals(expected.pings[at] ?? PROBE)), 'a pong with something else');
  check(answers.messagePings <= expected.messagePings, 'a pong too many');
  check(answers.renewals <= expected.renewals, 'an error too many');
  if (!isWhole) return;
  check(pings.length === expected.pings.length, `${pings.length} pongs to ${expected.pings.length} pings`);
  if (expected.closeCode !== null && !expected.isInvalidMessage) return;
  check(answers.messagePings === expected.messagePings, `${answers.messagePings} answers to ${expected.messagePings} messages`);
}

/**
 * Sends a stream of bytes and compares what comes with what has to (frame-oracle.ts).
 * @returns how it ended: the close code, or in words
 * @throws Error when it is something else
 */
export async function tryFrames(url: string, token: string, stream: FrameStream): Promise<string> {
  const { bytes, isPrompt, isV1 } = stream;
  const expected = expectOf(stream);
  const sinceMs = performance.now();
  const client = await RawClient.open(url, token, { isV1, ...(isPrompt ? { behind: bytes } : {}) });
  const answers = new Answers(client);
  const until = async (condition: () => unknown, description: string): Promise<void> => {
    await waitFor(condition, { intervalMs: 1, timeoutMs: ANSWER_TIMEOUT_MS, description });
  };
  try {
    if (!isPrompt) {
      if (isV1) await until(() => client.messages.length > 0, 'the greeting');
      client.socket.write(bytes);
    }
    const isHarmless = expected.closeCode === null;
    if (isHarmless && expected.isBetweenFrames) {
      client.socket.write(frame(PROBE, { opcode: 9 }));
      const isAnswered = (): boolean => answers.pings.at(-1)?.equals(PROBE) ?? false;
      const isAllAnswered = (): boolean => answers.messagePings + answers.renewals >= expected.messagePings + expected.renewals;
      await until(() => (isAnswered() && isAllAnswered()) || client.isClosed || client.closeCode !== null, 'answers to what is harmless');
    } else if (!isHarmless) {
      await until(() => client.isClosed || client.closeCode !== null, `the close with ${expected.closeCode}`);
    }
    const wasOpen = client.closeCode === null && !client.isClosed;
    client.socket.end();
    await until(() => client.isClosed, 'the node to let go');
    const { closeCode } = client;
    const isFlood = closeCode === TOO_MANY_MESSAGES && expected.closeCode !== TOO_MANY_MESSAGES;
    // The probe counts as well.
    const counted = expected.counted + Number(isHarmless && expected.isBetweenFrames);
    checkFlood({ ...expected, counted }, isFlood, sinceMs);
    checkShape(client, isV1);
    if (!isFlood) check(closeCode === expected.closeCode, `closed with ${closeCode}, and not with ${expected.closeCode}`);
    // While it joins, what is closed is told nothing more.
    checkAnswers(answers, expected, !isFlood && (isHarmless ? expected.isBetweenFrames && wasOpen : !isPrompt));
    return closeCode === null ? (expected.isBetweenFrames ? 'harmless' : 'cut off') : String(closeCode);
  } catch (error) {
    throw new Error(`${String(error)}\n${JSON.stringify({ isV1, isPrompt })} ${bytes.subarray(0, 2_000).toString('hex')}`, { cause: error });
  } finally {
    client.socket.destroy();
  }
}
