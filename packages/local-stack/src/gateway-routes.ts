export type GatewayTarget = 'auth' | 'notify' | 'web' | 'invalid';

// The first prefix that fits decides; each stands for itself and everything below it.
const ROUTES: readonly (readonly [prefix: string, target: GatewayTarget])[] = [
  ['/api/notifications', 'notify'],
  ['/api/presence', 'notify'],
  ['/api', 'auth'],
  ['/.well-known', 'auth'],
  ['/ws', 'notify'],
  ['/sse', 'notify'],
];

/**
 * Which part answers a request. Only the path as it was sent counts, nothing in it is decoded or resolved: the
 * service sees the same bytes and comes to the same conclusion.
 */
export function findTarget(requestTarget: string): GatewayTarget {
  if (!requestTarget.startsWith('/')) return 'invalid'; // absolute form, or `*`: this is no forward proxy
  const path = requestTarget.split('?', 1)[0] ?? '';
  for (const [prefix, target] of ROUTES) {
    if (path === prefix || path.startsWith(`${prefix}/`)) return target;
  }
  return 'web';
}
