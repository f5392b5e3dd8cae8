/** What one look found. `bad`: something will not work; `doubtful`: it works, and somebody should know. */
export interface Finding {
  readonly about: 'configuration' | 'limits' | 'database' | 'outbox' | 'broker' | 'clocks' | 'hashes';
  readonly state: 'good' | 'doubtful' | 'bad';
  /** What is the case, in one sentence. */
  readonly text: string;
  /** What to do about it. */
  readonly cure?: string;
}

/** Findings about one thing. */
export class Findings {
  readonly list: Finding[] = [];
  readonly #about: Finding['about'];

  constructor(about: Finding['about']) {
    this.#about = about;
  }

  good(text: string): void {
    this.list.push({ about: this.#about, state: 'good', text });
  }

  doubtful(text: string, cure: string): void {
    this.list.push({ about: this.#about, state: 'doubtful', text, cure });
  }

  bad(text: string, cure: string): void {
    this.list.push({ about: this.#about, state: 'bad', text, cure });
  }
}

/** What an error says, without a stack, in one line. */
export function describeError(error: unknown): string {
  // Several addresses of one name that all refuse are one error without a message of its own.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  return (first instanceof Error ? first.message : String(first)).split('\n', 1)[0] ?? '';
}
