import { setTimeout as sleep } from 'node:timers/promises';
import { parseScrape } from '@infrasignal/testkit';
import { ask, type Answer } from './answers.ts';
import type { Violation } from './checks/evidence.ts';
import { askForSessions } from './database-clients.ts';
import type { FaultRun } from './fault-run.ts';
import { readPeakMib } from './victim.ts';

/** What auth-service was told of how long it may wait, and how many may. */
export interface DatabaseLimits {
  readonly connectMsMax: number;
  readonly statementMsMax: number;
  readonly waitingMax: number;
}

export interface OutagePlan {
  readonly durationMs: number;
  /** Requests that come at once, {@link CROWDS} times. */
  readonly crowd: number;
  readonly limits: DatabaseLimits;
}

/** One when it begins, and one in the middle of it. */
const CROWDS = 2;

/** Of the pool, by default: so many wait for an answer, the others for a connection. */
const CONNECTIONS = 10;

/** How often somebody looks how the service is. */
const LOOK_INTERVAL_MS = 200;

/** An answer that needs nothing but the process. A busy machine may take this long for it. */
const ALIVE_MS_MAX = 5_000;

/** On a machine that is far too busy, a few new connections a second. */
const PREPARE_MS_MAX = 60_000;

/** What of the metrics cannot be read is left out after 3 s. */
const SCRAPE_MS_MAX = 10_000;

/** "Refused at once", on a machine that is busy with the crowd itself. */
const AT_ONCE_MS_MAX = 1_500;

/** A statement may take a fifth longer than the server was told, before the server is taken for away. */
const SILENCE_FACTOR = 1.2;

/** Giving back what an attempt took from its limits may hold up its refusal so long; and the machine is busy. */
const SLACK_MS = 3_000;

/** What waits is some 20 KiB; ten times as much as all that may wait is a queue without an end. */
const GROWTH_MIB_MAX = 150;

function i5(text: string): Violation {
  return { invariant: 'I5', text };
}

/** The longest that a request takes to be refused when the database stops answering under it. */
export function answerMsMax({ connectMsMax, statementMsMax }: DatabaseLimits): number {
  return connectMsMax + statementMsMax * SILENCE_FACTOR + SLACK_MS;
}

/** As the environment of auth-service. */
export function toEnvironment({ connectMsMax, statementMsMax, waitingMax }: DatabaseLimits): Record<string, string> {
  return {
    DATABASE_CONNECT_MS_MAX: String(connectMsMax),
    DATABASE_STATEMENT_MS_MAX: String(statementMsMax),
    DATABASE_WAITING_MAX: String(waitingMax),
  };
}

/** Looks at a service from outside, again and again. */
class Looks {
  readonly #url: string;
  readonly #pending: Promise<void>[] = [];
  readonly violations: Violation[] = [];
  waitingPeak = 0;
  isUnreadySeen = false;

  constructor(url: string) {
    this.#url = url;
  }

  /** Begins a look, which may take as long as the longest limit inside the service. */
  look(): void {
    this.#pending.push(this.#lookAlive(), this.#lookReady(), this.#lookWaiting());
  }

  async finish(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #lookAlive(): Promise<void> {
    const { status, note } = await ask({ url: `${this.#url}/healthz`, timeoutMs: ALIVE_MS_MAX });
    if (status !== 200) this.violations.push(i5(`/healthz: ${note}`));
  }

  async #lookReady(): Promise<void> {
    const { status } = await ask({ url: `${this.#url}/readyz`, timeoutMs: ALIVE_MS_MAX });
    this.isUnreadySeen ||= status === 503;
  }

  async #lookWaiting(): Promise<void> {
    const { body } = await ask({ url: `${this.#url}/metrics`, timeoutMs: SCRAPE_MS_MAX });
    this.waitingPeak = Math.max(this.waitingPeak, parseScrape(body).sum('infrasignal_database_pool_waiting'));
  }
}

function* checkCrowd(answers: readonly Answer[], { limits }: OutagePlan): Generator<Violation> {
  const limitMs = answerMsMax(limits);
  const late = answers.filter(({ tookMs }) => tookMs > limitMs);
  if (late.length > 0) {
    const longestMs = Math.max(...late.map(({ tookMs }) => tookMs));
    const which = `${late.length} of ${answers.length} requests`;
    yield i5(`${which} had no answer within ${limitMs} ms, one not for ${Math.round(longestMs)} ms`);
  }
  // Who came shortly before the end may still be waiting when it works again.
  const isRight = ({ status, retryAfter }: Answer): boolean =>
    status === 200 || (status === 503 && /^[1-9]\d*$/.test(retryAfter ?? ''));
  const wrong = answers.filter((answer) => !isRight(answer));
  for (const note of new Set(wrong.map(({ note }) => note))) {
    yield i5(`instead of 503 with Retry-After: ${note} (${wrong.length} of ${answers.length} requests)`);
  }
  // With short limits those who waited are answered as soon as those who were refused.
  if (limits.connectMsMax <= AT_ONCE_MS_MAX) return;
  const atOnce = answers.filter(({ tookMs }) => tookMs <= AT_ONCE_MS_MAX).length;
  const mayWait = CROWDS * (limits.waitingMax + CONNECTIONS);
  if (atOnce < answers.length - mayWait) yield i5(`only ${atOnce} of ${answers.length} requests were refused at once`);
}

/** An outage that is going on: crowds come, and the service is looked at from outside. */
export class Outage {
  readonly #run: FaultRun;
  readonly #plan: OutagePlan;
  readonly #looks: Looks;
  readonly #asked: Promise<Answer>[] = [];
  readonly #peakBefore: number;

  constructor(run: FaultRun, plan: OutagePlan) {
    this.#run = run;
    this.#plan = plan;
    this.#looks = new Looks(run.stack.auth.url);
    this.#peakBefore = readPeakMib(run.stack.auth.pid);
  }

  /** Before it begins: opens the connections that the crowd will come on, as a proxy in front would have them open. */
  async prepare(): Promise<void> {
    const url = `${this.#run.stack.auth.url}/healthz`;
    await Promise.all(Array.from({ length: this.#plan.crowd }, () => ask({ url, timeoutMs: PREPARE_MS_MAX })));
  }

  /** Lets it last. */
  async last(): Promise<void> {
    const { durationMs } = this.#plan;
    const startedAt = performance.now();
    for (let crowds = 0; performance.now() - startedAt < durationMs; ) {
      if (performance.now() - startedAt >= (crowds * durationMs) / CROWDS) {
        crowds += 1;
        this.#comeTogether();
      }
      await sleep(LOOK_INTERVAL_MS);
      this.#looks.look();
    }
  }

  /** After its end: who fitted in had to wait for as long as the limits say, and all others were refused at once. */
  async judge(what: string): Promise<Violation[]> {
    const { limits, durationMs } = this.#plan;
    const answers = await Promise.all(this.#asked);
    await this.#looks.finish();
    const { violations, waitingPeak, isUnreadySeen } = this.#looks;
    const grownMib = readPeakMib(this.#run.stack.auth.pid) - this.#peakBefore;
    const longestMs = Math.max(...answers.map(({ tookMs }) => tookMs));
    const middleMs = answers.map(({ tookMs }) => tookMs).sort((a, b) => a - b)[answers.length >> 1] ?? 0;
    this.#run.figures.push(
      `${what} for ${durationMs} ms, ${answers.length} requests: up to ${waitingPeak} waited, half were ` +
        `answered within ${Math.round(middleMs)} ms, all within ${Math.round(longestMs)} ms; ` +
        `memory peaked ${grownMib} MiB higher`,
    );
    return [
      ...violations,
      ...checkCrowd(answers, this.#plan),
      ...(waitingPeak > limits.waitingMax ? [i5(`${waitingPeak} requests waited, ${limits.waitingMax} may`)] : []),
      ...(isUnreadySeen ? [] : [i5('/readyz never said that the database does not answer')]),
      ...(grownMib > GROWTH_MIB_MAX ? [i5(`auth-service used ${grownMib} MiB more while its database was away`)] : []),
    ];
  }

  #comeTogether(): void {
    const { crowd, durationMs, limits } = this.#plan;
    const timeoutMs = durationMs + answerMsMax(limits);
    for (let at = 0; at < crowd; at += 1) this.#asked.push(askForSessions(this.#run, at, timeoutMs));
  }
}
