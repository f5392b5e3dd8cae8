import { isIPv6 } from 'node:net';

/** The eight groups of an IPv6 address. The URL parser knows every spelling of one, and writes them all alike. */
function groupsOf(address: string): number[] {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [first = [], last = []] = canonical
    .split('::')
    .map((part) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))));
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0);
  return [...first, ...zeros, ...last];
}

/** The IPv4 address inside an IPv4-mapped one (RFC 4291 section 2.5.5.2); null for others. */
function toMappedIpv4(groups: readonly number[]): string | null {
  const [high = 0, low = 0] = groups.slice(6);
  if (groups[5] !== 0xffff || groups.slice(0, 5).some((group) => group !== 0)) return null;
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

/**
 * What limits by address count by: IPv4 addresses as they are, IPv6 addresses by their first 64 bits, because that is
 * the least that one subscriber is given (RFC 6177) and within it an address can be changed at will.
 *
 * @returns for instance `192.0.2.7` or `2001:db8:1:2::/64`; text that is no address is returned as it is
 */
export function toAddressKey(address: string): string {
  const plain = address.split('%', 1)[0] ?? '';
  if (!isIPv6(plain)) return plain;
  const groups = groupsOf(plain);
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return toMappedIpv4(groups) ?? `${prefix.join(':')}::/64`;
}
