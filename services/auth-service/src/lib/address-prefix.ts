import { isIPv4, isIPv6 } from 'node:net';

function expandIpv6(address: string): string[] {
  const [head = '', tail] = address.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0');
  return [...first, ...(tail === undefined ? [] : zeros), ...last];
}

/**
 * Shortens an address for people to recognise without being tracked: IPv4 to its first 24 bits, IPv6 to its first 48.
 * @returns for instance `192.0.2.0/24` or `2001:db8:1::/48`; null for what is no address
 */
export function toAddressPrefix(address: string): string | null {
  const plain = address.startsWith('::ffff:') && isIPv4(address.slice(7)) ? address.slice(7) : address;
  if (isIPv4(plain)) return `${plain.split('.').slice(0, 3).join('.')}.0/24`;
  if (!isIPv6(plain)) return null;
  return `${expandIpv6(plain).slice(0, 3).join(':')}::/48`;
}
