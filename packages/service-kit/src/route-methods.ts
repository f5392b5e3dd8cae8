import type { FastifyInstance } from 'fastify';

/** Which methods each path of the service has, for `Allow` on a 405. */
export type RouteMethods = Map<string, Set<string>>;

function normalise(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Fills while routes are added; register before them. */
export function collectRoutes(app: FastifyInstance): RouteMethods {
  const routes: RouteMethods = new Map();
  app.addHook('onRoute', ({ url, method }) => {
    const path = normalise(url);
    const methods = routes.get(path) ?? new Set<string>();
    for (const name of [method].flat()) methods.add(name);
    routes.set(path, methods);
  });
  return routes;
}

function matches(pattern: string, path: string): boolean {
  if (!pattern.includes(':')) return pattern === path;
  const wanted = pattern.split('/');
  const given = path.split('/');
  return wanted.length === given.length && wanted.every((part, at) => part.startsWith(':') || part === given[at]);
}

/** The methods of a path, sorted; empty when there is no such path. */
export function allowedMethods(routes: RouteMethods, path: string): string[] {
  const wanted = normalise(path);
  const methods = new Set<string>();
  for (const [pattern, names] of routes) {
    if (matches(pattern, wanted)) for (const name of names) methods.add(name);
  }
  return [...methods].sort();
}
