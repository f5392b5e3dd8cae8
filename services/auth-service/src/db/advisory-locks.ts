/**
 * The numbers of this database's advisory locks. They stand in one place because two that are equal make one wait for
 * the other for ever. The numbers themselves have no meaning; other programs hardly use these.
 */
export const advisoryLocks = {
  /** One instance migrates, the others wait. */
  migrations: 7_203_411,
  /** Held for as long as an instance leads the relay. */
  relay: 7_203_412,
  /** Instances that start or rotate together agree on one key. */
  signingKeys: 7_203_413,
  /** One batch of an import at a time. */
  imports: 7_203_414,
} as const;
