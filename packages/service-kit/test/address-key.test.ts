/**
 * If this breaks: whoever has an IPv6 connection passes every limit by address, or strangers share one.
 */
import t from 'tap';
import { toAddressKey } from '../src/address-key.ts';

const cases: readonly (readonly [string, string])[] = [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['::ffff:c000:207', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::1', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2:ffff::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
  ['2001::1:1:1:1:192.0.2.7', '2001:0:1:1::/64'],
  ['', ''],
  ['nonsense', 'nonsense'],
];

for (const [address, key] of cases) {
  t.test(`${address || 'nothing'} counts as ${key || 'nothing'}`, async (t) => {
    t.equal(toAddressKey(address), key);
  });
}
