// If this breaks: somebody who reloads a page goes offline and online for everybody, or stays online for ever.
import t from 'tap';
import { PresentUsers } from '../../src/presence/present-users.ts';

const told = (users: PresentUsers, nowMs: number): Record<number, readonly number[]> =>
  Object.fromEntries(users.takeDue(nowMs).map(({ part, userIds }) => [part, userIds]));

t.test('a user is told of at once, renewed every two seconds, and taken back after the time of grace', async (t) => {
  const users = new PresentUsers();
  users.entered(7);
  users.entered(7 + 64);
  users.entered(8);
  t.strictSame(told(users, 0), { 7: [7, 71], 8: [8] }, 'one message for each part');
  t.strictSame(told(users, 1_999), {}, 'nothing changed, nothing is due');
  t.strictSame(told(users, 2_000), { 7: [7, 71], 8: [8] });
  users.left(71, 2_100);
  t.strictSame(told(users, 3_900), {}, 'they may come back');
  t.strictSame(told(users, 4_000), { 7: [7, 71], 8: [8] });
  t.equal(users.size, 3);
  t.strictSame(told(users, 7_100), { 7: [7], 8: [8] });
  users.left(8, 7_200);
  t.strictSame(told(users, 12_200), { 7: [7], 8: [] }, 'an empty part is told once');
  t.strictSame(told(users, 14_200), { 7: [7] }, 'and not renewed');
});

t.test('only the last of several connections counts, and one that comes within the grace keeps the user here', async (t) => {
  const users = new PresentUsers();
  users.entered(1);
  users.entered(1);
  t.strictSame(told(users, 0), { 1: [1] });
  users.left(1, 10);
  t.strictSame(told(users, 6_000), { 1: [1] }, 'renewed: a connection is left');
  users.left(1, 6_010);
  users.entered(1);
  t.strictSame(told(users, 11_500), { 1: [1] }, 'renewed: it was gone for a moment only');
  t.equal(users.size, 1);
});
