import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isSameProcessAlive, readCommandLine, sendSignal, type ProcessIdentity } from './process-identity.mjs';
import { waitFor } from './wait-for.ts';

/** A child of a running stack as the next start needs to know it. */
export interface LedgerEntry extends ProcessIdentity {
  name: string;
  /** A part of its command line that must be found again before it is ended. */
  marker: string;
  stopSignal: NodeJS.Signals;
}

/** Replaces the ledger; the rename makes sure that a crash leaves the old or the new one. */
export function writeLedger(path: string, entries: readonly LedgerEntry[]): void {
  writeFileSync(`${path}.new`, JSON.stringify(entries, null, 2), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

// Services have 10 s for requests in flight; a leftover has no requests any more.
const LEFTOVER_GRACE_MS = 5_000;

/**
 * Ends what an earlier stack has left behind although its reaper should have done so (it was killed as well).
 * The last one started goes first. Returns the names of those that were still there.
 */
export async function endLeftovers(ledgerPath: string): Promise<string[]> {
  const leftovers = readLedger(ledgerPath)
    .filter((entry) => isSameProcessAlive(entry) && readCommandLine(entry.pid)?.includes(entry.marker) === true)
    .reverse();
  for (const leftover of leftovers) {
    sendSignal(leftover.pid, 'SIGCONT'); // a frozen process would not hear the next one
    sendSignal(leftover.pid, leftover.stopSignal);
    try {
      await waitFor(() => !isSameProcessAlive(leftover), { timeoutMs: LEFTOVER_GRACE_MS });
    } catch {
      sendSignal(leftover.pid, 'SIGKILL');
      await waitFor(() => !isSameProcessAlive(leftover), { description: `process ${leftover.pid} to be gone` });
    }
  }
  return leftovers.map(({ name }) => name);
}

function readLedger(path: string): LedgerEntry[] {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(value) ? (value as LedgerEntry[]) : [];
  } catch {
    return []; // none, or damaged: what still runs then is found by its port or its lock
  }
}
