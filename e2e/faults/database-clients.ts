import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { scrape, waitFor, type Account, type TestContext } from '@infrasignal/testkit';
import { ask, type Answer } from './answers.ts';
import type { Violation } from './checks/evidence.ts';
import type { DatabaseServer } from './database-server.ts';
import type { FaultRun } from './fault-run.ts';

/** Longer than every limit inside the service. */
const ANSWER_TIMEOUT_MS = 15_000;

/** More than the connections of the pool: one that was never given back is missed. */
const PROBES_AT_ONCE = 12;

const PROBE_INTERVAL_MS = 10;

/** After this the pool is not back: further waiting tells nothing. */
const PROBE_TIMEOUT_MS = 20_000;

/** How often somebody ends a session that there is not, each in a transaction of its own. */
const TRANSACTION_INTERVAL_MS = 100;

/** What is given back is given back with the answer. */
const GIVEN_BACK_TIMEOUT_MS = 2_000;

function someAccount({ accounts }: FaultRun, at = 0): Account {
  const account = accounts[at % accounts.length];
  if (account === undefined) throw new Error('there is nobody who could ask');
  return account;
}

/** A question that needs the database and changes nothing. */
export function askForSessions(run: FaultRun, at = 0, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Answer> {
  const { access } = someAccount(run, at);
  return ask({ url: `${run.stack.auth.url}/api/sessions/`, access, timeoutMs });
}

/**
 * The fault is over: how soon a statement is carried out again, and then more requests at once than the pool has
 * connections. The second says that none is lost; how long it takes says more of the machine than of the pool.
 */
export async function* checkPoolBack(
  run: FaultRun,
  server: DatabaseServer,
  { what, limitMs }: { what: string; limitMs: number },
): AsyncGenerator<Violation> {
  const startedAt = performance.now();
  const servedMs = await server.measureServedAgain();
  if (servedMs > limitMs) yield { invariant: 'I5', text: `the pool was back ${Math.round(servedMs)} ms after ${what}` };
  const areAllAnswered = async (): Promise<boolean> => {
    const probes = Array.from({ length: PROBES_AT_ONCE }, (_, at) => askForSessions(run, at));
    return (await Promise.all(probes)).every(({ status }) => status === 200);
  };
  const patience = { intervalMs: PROBE_INTERVAL_MS, timeoutMs: PROBE_TIMEOUT_MS };
  const isBack = await waitFor(areAllAnswered, patience).catch(() => false);
  if (!isBack) yield { invariant: 'I5', text: `after ${what} not all of ${PROBES_AT_ONCE} requests were carried out` };
  run.figures.push(
    `after ${what} the pool was back within ${Math.round(servedMs)} ms, and ${PROBES_AT_ONCE} requests at once were ` +
      `answered within ${Math.round(performance.now() - startedAt)} ms`,
  );
}

/** I5: at rest, every connection is in the pool. */
export async function* checkPoolGivenBack({ stack }: FaultRun): AsyncGenerator<Violation> {
  for (const { url } of stack.auths) {
    let busy = NaN;
    const isNoneBusy = async (): Promise<boolean> => {
      busy = (await scrape(url)).sum('infrasignal_database_pool_connections', { state: 'busy' });
      return busy === 0;
    };
    const isGivenBack = await waitFor(isNoneBusy, { timeoutMs: GIVEN_BACK_TIMEOUT_MS }).catch(() => false);
    if (!isGivenBack) yield { invariant: 'I5', text: `${busy} connections of ${url}'s pool were never given back` };
  }
}

/**
 * Requests that are transactions of several statements, where those of the load are one statement each. They are about
 * sessions that do not exist, so that they write nothing that would have to be accounted for.
 */
export class TransactionLoad {
  readonly #run: FaultRun;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #notes = new Map<string, number>();
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(t: TestContext, run: FaultRun) {
    this.#run = run;
    t.teardown(() => this.stop());
  }

  start(): void {
    this.#running = this.#keepAsking();
  }

  /** Waits for what is on the way. @returns I5 for every answer that is neither the right one nor “not now” */
  async stop(): Promise<Violation[]> {
    this.#isStopped = true;
    await this.#running;
    await Promise.all(this.#inFlight);
    return [...this.#notes].flatMap(([note, count]) =>
      note === '404' || note === '503' ? [] : [{ invariant: 'I5' as const, text: `${count} transactions: ${note}` }],
    );
  }

  describe(): string {
    const counts = [...this.#notes].map(([note, count]) => `${count} × ${note}`);
    return `transactions of several statements: ${counts.join(', ')}`;
  }

  async #keepAsking(): Promise<void> {
    for (let at = 0; !this.#isStopped; at += 1) {
      const asked = this.#askOnce(at).finally(() => this.#inFlight.delete(asked));
      this.#inFlight.add(asked);
      await sleep(TRANSACTION_INTERVAL_MS);
    }
  }

  async #askOnce(at: number): Promise<void> {
    const { access } = someAccount(this.#run, at);
    const url = `${this.#run.stack.auth.url}/api/sessions/${randomUUID()}`;
    const { note } = await ask({ url, method: 'DELETE', access, timeoutMs: ANSWER_TIMEOUT_MS });
    this.#notes.set(note, (this.#notes.get(note) ?? 0) + 1);
  }
}
