import { readFileSync } from 'node:fs';
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

const STOP_TIMEOUT_MS = 5_000;

/** A transaction that is open for this long is not one that is at work: the longest statement of ours takes milliseconds. */
const FORGOTTEN_MS = 2_000;

/** A PostgreSQL of the scenario's own, which can be harmed as a whole: the one of the other tests must not be. */
export class DatabaseServer {
  readonly #postgres: TestPostgres;
  readonly database: TestDatabase;
  #stopped: number[] = [];

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

  /** `pg_ctl restart -m immediate`: every process of it leaves at once, and its log is replayed. Returns when it answers. */
  async crash(): Promise<void> {
    await this.#postgres.kill('SIGQUIT');
    await this.#postgres.restart();
  }

  /** Ends every connection of the services, whatever it is at. @returns how many */
  async killBackends(): Promise<number> {
    const killed = await this.database.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${OF_SERVICES}`);
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
    if (!sendSignal(pid, 'SIGSTOP')) return;
    this.#stopped.push(pid);
    await waitFor(() => isStopped(pid), {
      intervalMs: 1,
      timeoutMs: STOP_TIMEOUT_MS,
      description: `process ${pid} of PostgreSQL to stand still`,
    });
  }

  /** What a fault left behind: transactions that nobody ends, locks of those, and more or fewer leaders than one. */
  async findLeftovers(): Promise<string[]> {
    const open = await this.database.query<{ pid: number; state: string; query: string }>(
      `select pid, state, left(query, 60) as query from pg_stat_activity
       where ${OF_SERVICES} and clock_timestamp() - xact_start > make_interval(secs => ${FORGOTTEN_MS} / 1000.0)`,
    );
    const leaders = await this.database.query(
      `select pid from pg_locks join pg_stat_activity using (pid)
       where locktype = 'advisory' and granted and ${OF_SERVICES}`,
    );
    return [
      ...open.map(({ pid, state, query }) => `a transaction is still open (${state}, backend ${pid}: ${query})`),
      ...(leaders.length === 1 ? [] : [`${leaders.length} connections hold the relay's lock`]),
    ];
  }
}

function readChildren(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
}

/** @returns false if there is no such process any more */
function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Gone counts as well: it was about to end when the signal came. */
function isStopped(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.startsWith('T') ?? true;
  } catch {
    return true;
  }
}
