// Loaded into each service of a fault run (NODE_OPTIONS): on SIGUSR2 it collects garbage and writes down what is
// really in use. A heap that was not collected says nothing about a leak.
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    // The memory of buffers is swept beside the program, and counted as free by the collection after.
    collectGarbage();
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    const path = `${process.env.FAULT_PROBE_DIRECTORY}/${process.pid}`;
    writeFileSync(`${path}.draft`, String(heapUsed + external));
    renameSync(`${path}.draft`, path);
  });
}
