import { createHash } from 'node:crypto';
import { normalisePassword } from '../../lib/password-hasher.ts';

export interface BreachedPasswordsOptions {
  /** Of a service that speaks the range API of Have I Been Pwned, without `/range/`. */
  readonly baseUrl: string;
  /** Told, without any part of the password, why there was no answer. */
  readonly onUnanswered: (error: unknown) => void;
}

/** 5 of 40 hexadecimal digits: each prefix is shared by a thousand leaked passwords and by 16^35 others. */
const PREFIX_LENGTH = 5;

/** 1 s: ten times what an answer takes. Somebody is waiting for their account, and can have it without the answer. */
const TIMEOUT_MS = 1_000;

/** 512 KiB: ten times an answer with its padding. More is no such answer, and is not read on. */
const ANSWER_BYTES_MAX = 512 * 1024;

/** After an attempt without answer, 10 s pass until the next: otherwise an outage costs every newcomer the timeout. */
const PAUSE_MS = 10_000;

/**
 * Asks whether a password is in a known breach, by the start of its SHA-1 only (k-anonymity). It is asked with padding,
 * so that the length of the answer does not tell the prefix either. Without an answer a password counts as good: the
 * check is a help, and somebody else's outage must not close the registration.
 */
export class BreachedPasswords {
  readonly stats = { clean: 0, breached: 0, unanswered: 0 };
  readonly #options: BreachedPasswordsOptions;
  #pausedUntil = -Infinity;

  constructor(options: BreachedPasswordsOptions) {
    this.#options = options;
  }

  async has(password: string): Promise<boolean> {
    const digest = createHash('sha1').update(normalisePassword(password)).digest('hex').toUpperCase();
    const isBreached = await this.#ask(digest.slice(0, PREFIX_LENGTH), digest.slice(PREFIX_LENGTH));
    this.stats[isBreached === null ? 'unanswered' : isBreached ? 'breached' : 'clean'] += 1;
    return isBreached ?? false;
  }

  /** @returns null without an answer */
  async #ask(prefix: string, suffix: string): Promise<boolean | null> {
    if (performance.now() < this.#pausedUntil) return null;
    try {
      const response = await fetch(`${this.#options.baseUrl.replace(/\/$/, '')}/range/${prefix}`, {
        headers: { 'add-padding': 'true', 'user-agent': 'infrasignal' },
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return isListed(suffix, await readAnswer(response));
    } catch (error) {
      this.#pausedUntil = performance.now() + PAUSE_MS;
      this.#options.onUnanswered(error);
      return null;
    }
  }
}

async function readAnswer(response: Response): Promise<string> {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the range API answered ${response.status}`);
  }
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > ANSWER_BYTES_MAX) throw new Error(`the range API answered more than ${ANSWER_BYTES_MAX} bytes`);
  }
  return text;
}

/** Lines of `<35 digits>:<times seen>`; padding has been seen 0 times. */
function isListed(suffix: string, answer: string): boolean {
  return answer.split(/\r?\n/).some((line) => {
    const [digits, count] = line.split(':');
    return digits?.toUpperCase() === suffix && Number(count) > 0;
  });
}
