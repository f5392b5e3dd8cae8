/** How much guessing is borne before it is slowed down, and before it is stopped. All of it is configuration. */
export interface LoginLimits {
  /** Failures in a row on one account, or by one known device, before each further attempt has to wait. */
  readonly failuresBeforeDelay: number;
  /** The first wait; each further failure doubles it. */
  readonly delaySeconds: number;
  readonly delayMaxSeconds: number;
  /** Failures in a row after which the password is not looked at any more. */
  readonly failuresMax: number;
  /** Failed logins of one address. */
  readonly loginsPerAddress: AddressBudget;
  /** Registrations of one address, successful or not. */
  readonly registrationsPerAddress: AddressBudget;
  /** One wrong password on this many accounts within an hour is taken for an attack. */
  readonly sprayingAccountsMin: number;
}

/** A bucket that is full at first, and refills steadily (the "generic cell rate algorithm" of ITU-T I.371). */
export interface AddressBudget {
  readonly usesMax: number;
  readonly usesPerHour: number;
}

const HOUR_SECONDS = 3600;

/** How long one use takes to come back. */
export function secondsPerUse({ usesPerHour }: AddressBudget): number {
  return HOUR_SECONDS / usesPerHour;
}
