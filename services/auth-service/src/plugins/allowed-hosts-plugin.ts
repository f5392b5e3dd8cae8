import { defineErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

export const allowedHostsErrors = defineErrors({
  host_not_allowed: [400, 'Host not allowed', 'Requests to this host name are not answered here.'],
});

/** Probes and Prometheus address an instance by whatever address the orchestrator knows. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** A name or address and perhaps a port (RFC 9110 section 7.2); more than that could hide another name behind ours. */
const HOST_EXPRESSION = /^(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** The rule of Django's ALLOWED_HOSTS: exact names, `.example.com` for a domain with its subdomains, `*` for all. */
export function isAllowedHost(hostname: string, allowed: readonly string[]): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  return allowed.some((entry) => {
    const pattern = entry.toLowerCase();
    if (pattern === '*' || pattern === name) return true;
    return pattern.startsWith('.') && (name.endsWith(pattern) || name === pattern.slice(1));
  });
}

async function allowedHosts(app: FastifyInstance, options: { allowedHosts: readonly string[] }): Promise<void> {
  app.addHook('onRequest', (request, _reply, done) => {
    const isWelcome =
      PROBES.has(request.routeOptions.url ?? '') ||
      (HOST_EXPRESSION.test(request.host) && isAllowedHost(request.hostname, options.allowedHosts));
    if (isWelcome) done();
    else done(new ProblemError(allowedHostsErrors.host_not_allowed));
  });
}

/** Refuses requests for host names that are not ours, so that a forged `Host` is never reflected anywhere. */
export const allowedHostsPlugin = fp(allowedHosts, { name: 'allowed-hosts', fastify: '5.x' });
