import type { StreamMessage } from '../../src/relay/stream-message.ts';
import type { StreamState } from '../../src/relay/stream-reader.ts';

export interface Message extends StreamMessage {
  readonly id: string;
}

/** True if a subject is one of those that a filter names; as the broker, but only what is in use: `a.b.>`, `a.*.c`. */
export function matches(filter: string | null, subject: string): boolean {
  if (filter === null) return true;
  if (filter.endsWith('.>')) return subject.startsWith(filter.slice(0, -1));
  const [words, wanted] = [subject.split('.'), filter.split('.')];
  return words.length === wanted.length && wanted.every((word, at) => word === '*' || word === words[at]);
}

/** The stream as the broker keeps it: positions, what was dropped for its age, and the ids that it knows again. */
export class ModelStream {
  #createdAt = 1;
  #messages: Message[] = [];
  #firstSequence = 1;
  #ids = new Set<string>();

  get state(): StreamState {
    return {
      createdAt: `2030-01-01T00:00:00.${this.#createdAt}Z`,
      firstSequence: this.#firstSequence,
      lastSequence: this.lastSequence,
    };
  }

  /** It is not the one that there was at first. */
  get isRecreated(): boolean {
    return this.#createdAt > 1;
  }

  get firstSequence(): number {
    return this.#firstSequence;
  }

  get lastSequence(): number {
    return this.#firstSequence + this.#messages.length - 1;
  }

  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** False: it is known already, and not stored again. */
  store(id: string, subject: string, data: Uint8Array, storedAtMs: number): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    this.#messages.push({ id, subject, data, sequence: this.lastSequence + 1, storedAtMs });
    return true;
  }

  holds(id: string): boolean {
    return this.#messages.some((message) => message.id === id);
  }

  at(sequence: number): Message | null {
    return this.#messages[sequence - this.#firstSequence] ?? null;
  }

  newest(filter: string, lastSequence = this.lastSequence): Message | null {
    for (let at = lastSequence; at >= this.#firstSequence; at -= 1) {
      const message = this.at(at);
      if (message !== null && matches(filter, message.subject)) return message;
    }
    return null;
  }

  /** The first messages at or after a position. */
  following(filter: string | null, fromSequence: number, countMax: number, lastSequence = this.lastSequence): Message[] {
    const found: Message[] = [];
    for (let at = Math.max(fromSequence, this.#firstSequence); at <= lastSequence && found.length < countMax; at += 1) {
      const message = this.at(at);
      if (message !== null && matches(filter, message.subject)) found.push(message);
    }
    return found;
  }

  /** The position of the first message that was stored then or later. */
  sequenceAtTime(timeMs: number): number {
    const found = this.#messages.find(({ storedAtMs }) => storedAtMs >= timeMs);
    return found?.sequence ?? this.lastSequence + 1;
  }

  /** The oldest are dropped for their age. */
  dropOldest(count: number): Message[] {
    const dropped = this.#messages.splice(0, count);
    this.#firstSequence += dropped.length;
    return dropped;
  }

  /** The newest are gone, and their positions are given out again. */
  loseNewest(count: number): Message[] {
    const lost = this.#messages.splice(Math.max(0, this.#messages.length - count));
    for (const { id } of lost) this.#ids.delete(id);
    return lost;
  }

  /** It does not know any more what it has: the same message is stored twice. */
  forgetIds(): void {
    this.#ids.clear();
  }

  /** Another one under the same name. */
  recreate(): Message[] {
    const lost = this.#messages;
    this.#messages = [];
    this.#ids.clear();
    this.#firstSequence = 1;
    this.#createdAt += 1;
    return lost;
  }
}
