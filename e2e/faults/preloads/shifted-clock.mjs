// Loaded into the services of a run (NODE_OPTIONS): the wall clock that the program sees is off by what a file says, and
// steps as soon as that file changes. The clock that never steps (performance.now, timers) is left alone, as it is when
// the time of a machine is set.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setInterval } from 'node:timers';
import { isMainThread } from 'node:worker_threads';

const LOOK_INTERVAL_MS = 10;

const path = `${process.env.FAULT_CLOCK_DIRECTORY}/${process.env.PORT}`;
const RealDate = Date;
const readRealNow = RealDate.now;
let shiftMs = 0;

RealDate.now = () => readRealNow() + shiftMs;
globalThis.Date = new Proxy(RealDate, {
  apply: () => new RealDate(RealDate.now()).toString(),
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [RealDate.now()] : args, newTarget === globalThis.Date ? target : newTarget),
});

let noted = null;
function look() {
  let text = '0';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // It is right until somebody says otherwise.
  }
  shiftMs = Number(text);
  if (!isMainThread || text === noted) return;
  noted = text;
  writeFileSync(`${path}.draft`, text);
  renameSync(`${path}.draft`, `${path}.seen`);
}

look();
setInterval(look, LOOK_INTERVAL_MS).unref();
