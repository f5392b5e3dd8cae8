// `npm run reset`: removes everything that the local stack has stored, inside and outside the clone. Needs nothing to
// be installed. What was downloaded (node_modules) is no state and stays.
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isSameProcessAlive, readCommandLine, sendSignal } from '../packages/local-stack/src/process-identity.mjs';
import {
  DEFAULT_STATE_DIRECTORY,
  isStateEntry,
  pathKey,
  PROJECT_ROOT,
  SHARED_CACHE_DIRECTORY,
  SHARED_STATE_DIRECTORY,
  statePaths,
} from '../packages/local-stack/src/state-paths.mjs';
import { runScript, say, ScriptError } from './console.mjs';

await runScript(async () => {
  const paths = statePaths(readStateDirectory());
  refuseWhileRunning(paths.lock);
  await endLeftovers(paths.ledger);
  const removed = listState(paths).filter((path) => existsSync(path));
  if (removed.length === 0) say('There is no local state to remove.');
  for (const path of removed) {
    remove(path);
    say(`Removed ${path}`);
  }
  removeIfEmpty(paths.directory);
  for (const shared of [SHARED_STATE_DIRECTORY, SHARED_CACHE_DIRECTORY]) removeSilentlyIfEmpty(shared);
});

function readStateDirectory() {
  try {
    const { values } = parseArgs({ options: { state: { type: 'string' } } });
    return values.state === undefined ? DEFAULT_STATE_DIRECTORY : resolve(values.state);
  } catch (error) {
    throw new ScriptError(error.message, 'Usage: npm run reset [-- --state DIR]', 2);
  }
}

function refuseWhileRunning(lock) {
  const holder = readJson(lock);
  if (holder === null || !isSameProcessAlive(holder)) return;
  throw new ScriptError(
    `infraSignal is running on this state (process ${holder.pid})`,
    `End it first: Ctrl-C in its terminal, or \`kill ${holder.pid}\`.`,
  );
}

/** Servers that outlived their stack must not write to what is being removed. */
async function endLeftovers(ledger) {
  for (const entry of (readJson(ledger) ?? []).reverse()) {
    const isOurs = isSameProcessAlive(entry) && readCommandLine(entry.pid)?.includes(entry.marker);
    if (!isOurs) continue;
    say(`Ending ${entry.name} (process ${entry.pid}), which an earlier run had left behind`);
    sendSignal(entry.pid, entry.stopSignal);
    const deadline = Date.now() + 5_000;
    while (isSameProcessAlive(entry)) {
      if (Date.now() > deadline) sendSignal(entry.pid, 'SIGKILL');
      await sleep(50);
    }
  }
}

function listState(paths) {
  // Only what the stack has made: `--state` may name a folder that holds other things as well.
  const names = existsSync(paths.directory) ? readdirSync(paths.directory) : [];
  const inside = names.filter((name) => isStateEntry(name)).map((name) => join(paths.directory, name));
  const outside = [paths.external, movedDatabase(paths)];
  const isWholeClone = paths.directory === DEFAULT_STATE_DIRECTORY;
  if (isWholeClone) outside.push(join(SHARED_CACHE_DIRECTORY, pathKey(PROJECT_ROOT)));
  return [...new Set(outside), ...inside];
}

/** A clone that was moved still names the place outside it that its database was given before. */
function movedDatabase(paths) {
  try {
    const folder = dirname(readFileSync(paths.postgresLocation, 'utf8').trim());
    if (dirname(folder) !== SHARED_STATE_DIRECTORY) return paths.external;
    const owner = readFileSync(join(folder, 'belongs-to'), 'utf8').trim();
    return owner === paths.directory || !existsSync(owner) ? folder : paths.external;
  } catch {
    return paths.external;
  }
}

function removeIfEmpty(directory) {
  if (!existsSync(directory)) return;
  const names = readdirSync(directory);
  if (names.length === 0) rmSync(directory, { recursive: true });
  else say(`Kept ${directory}: ${names.join(', ')} is not the stack's.`);
}

/** Other clones may keep things there. */
function removeSilentlyIfEmpty(directory) {
  try {
    rmdirSync(directory);
  } catch {
    // Not empty, not there, or not ours.
  }
}

function remove(path) {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    throw new ScriptError(
      `${path} cannot be removed: ${error.message}`,
      'It belongs to another user (root?): run `npm run reset` as that user.',
    );
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}
