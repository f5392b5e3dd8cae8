// Loaded into a service that is to be profiled (NODE_OPTIONS): SIGUSR2 starts a CPU profile, the next one ends it and
// writes it down. The profile of a whole process would be mostly about compiling its sources at the start.
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { isMainThread } from 'node:worker_threads';

/** Finer than the default 1000 µs: a request takes less than that. */
const INTERVAL_MICROSECONDS = 200;

if (isMainThread) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS });
  let count = 0;
  let isRunning = false;
  const write = (name, text) => {
    const path = `${process.env.BENCH_PROFILE_DIRECTORY}/${process.pid}-${name}`;
    writeFileSync(`${path}.draft`, text);
    renameSync(`${path}.draft`, path);
  };
  process.on('SIGUSR2', () => {
    if (isRunning) {
      session.post('Profiler.stop', (error, result) => {
        write(`${count}.cpuprofile`, JSON.stringify(error ?? result.profile));
      });
    } else {
      count += 1;
      session.post('Profiler.start', () => write(`${count}.started`, ''));
    }
    isRunning = !isRunning;
  });
}
