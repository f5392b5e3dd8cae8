// Loaded into a server whose memory is measured (NODE_OPTIONS): SIGUSR2 collects all garbage, and a file says when that
// is done. It changes nothing of when V8 collects by itself: `--expose-gc` only names the function.
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  let count = 0;
  process.on('SIGUSR2', () => {
    // Twice: what the first one finalises, the second one frees.
    collect();
    collect();
    count += 1;
    writeFileSync(`${process.env.BENCH_COLLECTED_DIRECTORY}/${process.pid}-${count}`, '');
  });
}
