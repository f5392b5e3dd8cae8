import { readFileSync } from 'node:fs';
import { freezeProcess, sendSignal } from '@infrasignal/local-stack';
import {
  openServersDatabase,
  startTestPostgres,
  waitFor,
  type TestContext,
  type TestDatabase,
  type TestPostgres,
} from '@infrasignal/testkit';

/** Whose connections a scenario looks at: those of the services, not the harness' own. */
const OF_SERVICES = `backend_type = 'client backend' and application_name like 'infrasignal-%'`;

/** The lock may be on its way from one connection to the next. */
const LEFTOVERS_TIMEOUT_MS = 5_000;

const LOOK_INTERVAL_MS = 10;

/** After this it is not back: further waiting tells nothing. */
const SERVED_TIMEOUT_MS = 20_000;

/** A transaction that is open for this long is not at work: the longest statement of ours takes milliseconds. */
const FORGOTTEN_MS = 2_000;

/**
 * SIGKILL to every process of a server, as when the machine is switched off. If only the first one is killed, the others
 * leave when they notice; one that waits for a lock of another that failed at a dead disk never does, and keeps the disk.
 */
export async function killWholeServer(server: TestPostgres): Promise<void> {
  const { pid } = server;
  await freezeProcess(pid); // it starts no more processes
  const children = readChildren(pid);
  await server.kill('SIGKILL');
  for (const child of children) sendSignal(child, 'SIGKILL');
}

/** A PostgreSQL of the scenario's own, which can be harmed as a whole: the one of the other tests must not be. */
export class DatabaseServer {
  readonly #postgres: TestPostgres;
  readonly database: TestDatabase;
  readonly #stopped: number[] = [];
  #lastFaultAt = '-infinity';

  private constructor(postgres: TestPostgres, database: TestDatabase) {
    this.#postgres = postgres;
    this.database = database;
  }

  static async start(t: TestContext): Promise<DatabaseServer> {
    const postgres = await startTestPostgres(t);
    const server = new DatabaseServer(postgres, openServersDatabase(t, postgres));
    // A server that stands still would not hear that it shall end.
    t.teardown(() => {
      server.resume();
    });
    return server;
  }

  /** `pg_ctl restart -m immediate`: every process leaves at once, and the log is replayed. Returns when it answers. */
  async crash(): Promise<void> {
    await this.noteFault();
    await this.#postgres.kill('SIGQUIT');
    await this.#postgres.restart();
  }

  /** Ends every connection of the services, whatever it is at. @returns how many */
  async killBackends(): Promise<number> {
    await this.noteFault();
    const killed = await this.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where ${OF_SERVICES}`,
    );
    return killed.length;
  }

  /** Freezes the server and every process of it (SIGSTOP): its connections stay open, and nothing answers on them. */
  async pause(): Promise<void> {
    const { pid } = this.#postgres;
    await this.#stop(pid);
    // Without the first one there are no new ones.
    for (const child of readChildren(pid)) await this.#stop(child);
  }

  /** Lets all of them go on (SIGCONT) where they stood. */
  resume(): void {
    for (const pid of this.#stopped.splice(0)) sendSignal(pid, 'SIGCONT');
  }

  async #stop(pid: number): Promise<void> {
    this.#stopped.push(pid);
    await freezeProcess(pid);
  }

  /**
   * Milliseconds until a request's statement is carried out again, from the end of the fault; Infinity: none is. When it
   * was is what the server says, by the same clock: the harness has to connect again itself before it can look.
   */
  async measureServedAgain(): Promise<number> {
    const startedAt = Date.now();
    const findServedAt = async (): Promise<number | null> => {
      const [served] = await this.database.query<{ at: number | null }>(
        `select (extract(epoch from min(state_change)) * 1000)::float8 as at from pg_stat_activity
         where application_name = 'infrasignal-auth' and query <> '' and state = 'idle'
           and state_change > $1::timestamptz`,
        [this.#lastFaultAt],
      );
      return served?.at ?? null;
    };
    return waitFor(findServedAt, { intervalMs: LOOK_INTERVAL_MS, timeoutMs: SERVED_TIMEOUT_MS }).then(
      (servedAt) => Math.max(0, servedAt - startedAt),
      () => Infinity,
    );
  }

  /** From now on what is carried out is carried out after the fault. By the server's clock. */
  async noteFault(): Promise<void> {
    const [row] = await this.database.query<{ now: string }>('select clock_timestamp()::text as now');
    this.#lastFaultAt = row?.now ?? '-infinity';
  }

  /** What a fault left behind: transactions that nobody ends, with their locks, and no leader, or more than one. */
  async findLeftovers(): Promise<string[]> {
    let leftovers: string[] = [];
    const isClean = async (): Promise<boolean> => {
      leftovers = [...(await this.#findOpenTransactions()), ...(await this.#findWrongLeaders())];
      return leftovers.length === 0;
    };
    await waitFor(isClean, { timeoutMs: LEFTOVERS_TIMEOUT_MS }).catch(() => undefined);
    return leftovers;
  }

  async #findOpenTransactions(): Promise<string[]> {
    const open = await this.database.query<{ pid: number; state: string; query: string }>(
      `select pid, state, left(query, 60) as query from pg_stat_activity
       where ${OF_SERVICES} and clock_timestamp() - xact_start > make_interval(secs => ${FORGOTTEN_MS} / 1000.0)`,
    );
    return open.map(({ pid, state, query }) => `a transaction is still open (${state}, backend ${pid}: ${query})`);
  }

  async #findWrongLeaders(): Promise<string[]> {
    const leaders = await this.database.query(
      `select pid from pg_locks join pg_stat_activity using (pid)
       where locktype = 'advisory' and granted and ${OF_SERVICES}`,
    );
    return leaders.length === 1 ? [] : [`${leaders.length} connections hold the relay's lock`];
  }
}

function readChildren(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
}
