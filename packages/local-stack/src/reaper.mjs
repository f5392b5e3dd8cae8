// The reaper: a tiny process that outlives its parent by a moment and tidies up after it.
//
// It reads lines of JSON from its standard input and remembers which processes and temporary paths its
// parent is responsible for. When the input ends, the parent is gone. What it has not struck off the list
// by then (SIGKILL, a crash, a closed terminal) the reaper ends and removes, the newest first.
//
//   {"add":{"pid":1,"startedAt":"…","signal":"SIGTERM","graceMs":5000}}    a process to end
//   {"remove":1}                                                          it has ended by itself
//   {"mount":"/tmp/…"} / {"unmounted":"/tmp/…"}                           a mount to undo at the end, or not
//   {"path":"/tmp/…"} / {"keepPath":"/tmp/…"}                             a path to remove at the end, or not
//
// Plain JavaScript, so that it starts in 40 ms.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSameProcessAlive, sendSignal } from './process-identity.mjs';

/** @type {Map<number, {pid: number, startedAt: string, signal: string, graceMs: number}>} */
const processes = new Map();
/** @type {Set<string>} */
const mounts = new Set();
/** @type {Set<string>} */
const paths = new Set();

// Whatever the terminal sends is for the parent; the end of the input is this process's only cue.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const message = JSON.parse(line);
  if (message.add) processes.set(message.add.pid, message.add);
  if (message.remove) processes.delete(message.remove);
  if (message.mount) mounts.add(message.mount);
  if (message.unmounted) mounts.delete(message.unmounted);
  if (message.path) paths.add(message.path);
  if (message.keepPath) paths.delete(message.keepPath);
});
lines.on('close', async () => {
  await endEverything();
  process.exit(0);
});

async function endEverything() {
  for (const target of [...processes.values()].reverse()) await endProcess(target);
  // Before the paths: a directory with something mounted in it cannot be removed. Lazily, because a process that was just
  // ended may hold it for a moment longer.
  for (const mount of mounts) spawnSync('/usr/bin/umount', ['--lazy', mount], { stdio: 'ignore' });
  for (const path of paths) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // A leftover temporary directory harms nobody.
    }
  }
}

async function endProcess(target) {
  if (!isSameProcessAlive(target)) return;
  sendSignal(target.pid, target.signal);
  sendSignal(target.pid, 'SIGCONT'); // a frozen process would not hear the first one
  const deadline = Date.now() + target.graceMs;
  while (isSameProcessAlive(target)) {
    if (Date.now() > deadline) {
      // Children are leaders of their own groups: the whole group goes, helpers included.
      if (!sendSignal(-target.pid, 'SIGKILL')) sendSignal(target.pid, 'SIGKILL');
      return;
    }
    await sleep(25);
  }
}
