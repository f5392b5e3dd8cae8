import { AsyncLocalStorage } from 'node:async_hooks';
import { formatTraceparent, type TraceContext } from './trace-context.ts';

const storage = new AsyncLocalStorage<TraceContext>();

/** Runs something, and whatever it sets off, as part of a trace. */
export function runInTrace<Result>(trace: TraceContext, run: () => Result): Result {
  return storage.run(trace, run);
}

/** The `traceparent` of what runs now; null outside of any request. */
export function currentTraceparent(): string | null {
  const trace = storage.getStore();
  return trace === undefined ? null : formatTraceparent(trace);
}
