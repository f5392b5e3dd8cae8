export type GatewayTarget = 'auth' | 'notify' | 'web' | 'invalid';

type Route = readonly [prefix: string, target: (method: string) => GatewayTarget];

const auth = (): GatewayTarget => 'auth';
const notify = (): GatewayTarget => 'notify';

// What was sent is read from the event stream, which notify-service has. To send is a change, and every change (with
// the preflight that browsers ask before it) belongs to auth-service, which has the outbox.
const notifications = (method: string): GatewayTarget => (method === 'GET' || method === 'HEAD' ? 'notify' : 'auth');

// The first prefix that fits decides; each stands for itself and everything below it.
const ROUTES: readonly Route[] = [
  ['/api/notifications', notifications],
  ['/api/presence', notify],
  ['/api', auth],
  ['/.well-known', auth],
  ['/ws', notify],
  ['/sse', notify],
];

/**
 * Which part answers a request. Only the path as it was sent counts, nothing in it is decoded or resolved: the
 * service sees the same bytes and comes to the same conclusion.
 */
export function findTarget(method: string, requestTarget: string): GatewayTarget {
  if (!requestTarget.startsWith('/')) return 'invalid'; // absolute form, or `*`: this is no forward proxy
  const path = requestTarget.split('?', 1)[0] ?? '';
  for (const [prefix, target] of ROUTES) {
    if (path === prefix || path.startsWith(`${prefix}/`)) return target(method);
  }
  return 'web';
}
