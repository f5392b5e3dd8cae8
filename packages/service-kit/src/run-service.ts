import type { FastifyInstance } from 'fastify';
import { ConfigurationError } from './settings.ts';
import { explainCertificateFailure } from './tls-failure.ts';

export interface RunningService {
  readonly app: FastifyInstance;
  readonly host: string;
  readonly port: number;
  /** After SIGTERM, requests in flight may take this long; then the process ends regardless. In milliseconds. */
  readonly shutdownGraceMs: number;
}

/** sysexits.h EX_CONFIG: something is wrong with the configuration, so a restart will not help. */
const EXIT_CONFIGURATION = 78;

const endSignals = ['SIGTERM', 'SIGINT'] as const;

/**
 * Until there is something to close. The kernel ends no first process of a container (PID 1) by a signal that it does
 * not handle: one that comes while the database is migrated would be lost, and the orchestrator would wait for its whole
 * grace period, and kill.
 */
function endOnSignals(): () => void {
  const end = (): void => process.exit(0);
  for (const signal of endSignals) process.on(signal, end);
  return () => {
    for (const signal of endSignals) process.off(signal, end);
  };
}

function closeOnSignals({ app, shutdownGraceMs }: RunningService): void {
  let isClosing = false;
  const close = (signal: NodeJS.Signals): void => {
    if (isClosing) process.exit(1);
    isClosing = true;
    app.log.info({ signal }, 'closing');
    setTimeout(() => {
      app.log.error({ shutdownGraceMs }, 'not closed within the grace period');
      process.exit(1);
    }, shutdownGraceMs).unref();
    app.close().then(
      () => process.exit(0),
      (error: unknown) => {
        app.log.error({ err: error }, 'close failed');
        process.exit(1);
      },
    );
  };
  for (const signal of endSignals) process.on(signal, close);
}

/**
 * Connections that are made and wait to be accepted, as many as Linux allows by default (net.core.somaxconn). With Node's
 * own 511, clients that come back all at once find the queue full, and the kernel lets them try again after 1, 3, 7 and
 * 15 s.
 */
const BACKLOG = 4_096;

/**
 * A service's process from start to end: builds the app, listens, and on SIGTERM or SIGINT closes it gracefully
 * (exit 0). A second signal ends it at once, and so does the first while it still starts. A wrong configuration ends it
 * with one line that names the variables.
 */
export async function runService(name: string, build: () => Promise<RunningService>): Promise<void> {
  const stopEnding = endOnSignals();
  try {
    const service = await build();
    closeOnSignals(service);
    stopEnding();
    await service.app.listen({ host: service.host, port: service.port, backlog: BACKLOG });
  } catch (error) {
    if (error instanceof ConfigurationError) {
      for (const problem of error.problems) process.stderr.write(`${name}: ${problem}\n`);
      process.exit(EXIT_CONFIGURATION);
    }
    const reason = explainCertificateFailure(error);
    if (reason !== null) process.stderr.write(`${name}: the certificate of a server was not accepted: ${reason}\n`);
    const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`${name}: cannot start: ${cause}\n`);
    process.exit(1);
  }
}
