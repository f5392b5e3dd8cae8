import type { FastifyServerOptions } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { describeError } from './error-serializer.ts';
import { RequestLog } from './request-log.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

interface LoggedRequest {
  readonly id: string;
  readonly method: string;
  readonly url: string;
  readonly ip: string;
  readonly raw: IncomingMessage;
}

/**
 * Logging for a service: pino JSON on standard output. A request is logged by method, path and address only: headers
 * and query strings are where tokens travel, so they never reach a log. Nor do the values of a failed statement.
 */
export function loggingOptions(
  service: string,
  level: LogLevel,
): Pick<FastifyServerOptions, 'logger' | 'logController' | 'genReqId'> {
  return {
    genReqId: () => randomUUID(),
    logController: new RequestLog(),
    logger: {
      level,
      base: { service, pid: process.pid },
      serializers: {
        err: (error: unknown) => ({ ...describeError(error) }),
        req: (request: LoggedRequest) => ({
          method: request.method,
          path: request.url.split('?', 1)[0],
          remoteAddress: request.ip,
        }),
      },
    },
  };
}
