/** Time as a parameter, so that a test can be in the year it needs. Milliseconds since the epoch. */
export type Clock = () => number;
