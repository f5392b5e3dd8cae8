/**
 * The checker: judges a run by its ledger and by what the system holds at the end. Pure, so that it can be tested on
 * made-up runs: a checker that finds nothing proves nothing until it has been seen to find something.
 *
 * I1 every successful operation has one outbox row, one stream message, and reached every session that was connected
 *    or resumed · I2 per session each event once, `seq` rising without a hole · I3 no event without its user, or that
 *    nobody asked for · I4 no foreign event · I5 (check-recovery.ts) the system is as it was before.
 */
import { checkClient } from './check-clients.ts';
import { checkOperations, checkOutbox, checkStream } from './check-storage.ts';
import { EventIndex, type Allowances, type Counts, type Evidence, type Violation } from './evidence.ts';

export interface Findings {
  readonly violations: readonly Violation[];
  readonly counts: Counts;
}

export function checkEvidence(evidence: Evidence, allowances: Allowances = {}): Findings {
  const index = new EventIndex(evidence);
  const counts = countOperations(evidence);
  const violations = [
    ...checkOutbox(evidence, index),
    ...checkOperations(evidence, index),
    ...checkStream(evidence, index, allowances),
  ];
  for (const client of evidence.clients) {
    violations.push(...checkClient(client, { evidence, index, allowances, counts }));
  }
  return { violations, counts };
}

function countOperations({ operations, outbox }: Evidence): Counts {
  const of = (outcome: string): number => operations.filter((operation) => operation.outcome === outcome).length;
  return {
    operations: operations.length,
    ok: of('ok'),
    failed: of('fail'),
    unknown: of('unknown'),
    events: outbox.length,
    connections: 0,
    frames: 0,
    lost: 0,
    repeated: 0,
    foreign: 0,
    unrecovered: 0,
  };
}
