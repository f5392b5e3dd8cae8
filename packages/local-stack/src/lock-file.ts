import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { identifyProcess, isSameProcessAlive, type ProcessIdentity } from './process-identity.mjs';
import { errorCode } from './stack-error.ts';

export interface LockFile {
  release(): void;
}

export type LockAttempt = { lock: LockFile } | { heldBy: ProcessIdentity };

/**
 * Takes a lock that belongs to this process, or tells which living process holds it. A lock whose holder
 * has died is taken over. The file appears complete or not at all (it is linked into place), so nobody
 * ever reads half of one.
 */
export function tryLockFile(path: string): LockAttempt {
  const self = identifyProcess(process.pid);
  if (self === null) throw new Error('This process cannot read its own start time');
  mkdirSync(dirname(path), { recursive: true });
  for (;;) {
    if (linkIntoPlace(path, self)) return { lock: { release: () => releaseLock(path, self) } };
    const holder = readLockHolder(path);
    if (holder === null) continue; // released or removed between the two lines above
    if (isSameProcessAlive(holder)) return { heldBy: holder };
    removeStaleLock(path, holder);
  }
}

/** True while the process that took the lock lives and has not released it. */
export function isLockHeld(path: string): boolean {
  const holder = readLockHolder(path);
  return holder !== null && isSameProcessAlive(holder);
}

/** The process a lock file names, dead or alive; null when there is no such file. */
export function readLockHolder(path: string): ProcessIdentity | null {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<ProcessIdentity>;
    return { pid: Number(value.pid), startedAt: String(value.startedAt) };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    if (error instanceof SyntaxError) return { pid: 0, startedAt: '' }; // damaged: nobody holds it
    throw error;
  }
}

function linkIntoPlace(path: string, self: ProcessIdentity): boolean {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, JSON.stringify(self), { mode: 0o644 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Two processes may find the same stale lock: the move makes sure that only what was read is removed. */
function removeStaleLock(path: string, holder: ProcessIdentity): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const moved = readLockHolder(aside);
  if (moved !== null && moved.startedAt !== holder.startedAt && isSameProcessAlive(moved)) {
    try {
      linkSync(aside, path); // a fresh lock of somebody else was caught: put it back
    } catch {
      // Somebody was quicker with a lock of their own; the loop in tryLockFile sees it.
    }
  }
  rmSync(aside, { force: true });
}

function releaseLock(path: string, self: ProcessIdentity): void {
  const holder = readLockHolder(path);
  if (holder?.pid === self.pid && holder.startedAt === self.startedAt) rmSync(path, { force: true });
}
