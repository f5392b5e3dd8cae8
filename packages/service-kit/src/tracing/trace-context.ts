import { randomUUID } from 'node:crypto';

/** Where something belongs in a trace, as W3C Trace Context (https://www.w3.org/TR/trace-context/) passes it on. */
export interface TraceContext {
  /** 32 hexadecimal digits: the same for everything that one request set off. */
  readonly traceId: string;
  /** 16 hexadecimal digits: this part of it. */
  readonly spanId: string;
  /** Whether whoever began the trace records it. */
  readonly isSampled: boolean;
}

/** What is done for somebody, and belongs to their trace: what comes of it can be found by it. */
export interface Traced {
  /** As `request.traceparent` has it; null for what no request caused. */
  readonly traceparent: string | null;
}

/** Hexadecimal digits. */
const SPAN_ID_LENGTH = 16;

/** Version, trace id, parent id, flags; versions after 00 may add more behind a dash (section 3.2.2). */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The version that section 3.2.2.1 forbids. */
const INVALID_VERSION = 'ff';

const SAMPLED_FLAG = 1;

/** Longer than any version that is known; a header beyond it is not looked at. */
const TRACEPARENT_LENGTH_MAX = 256;

const isZero = (id: string): boolean => /^0+$/.test(id);

/** Reads a `traceparent`; null when there is none, or none that is valid. */
export function parseTraceparent(text: unknown): TraceContext | null {
  if (typeof text !== 'string' || text.length > TRACEPARENT_LENGTH_MAX) return null;
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || version === INVALID_VERSION || (version === '00' && more !== undefined)) return null;
  if (isZero(traceId) || isZero(spanId)) return null;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED_FLAG) !== 0 };
}

export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}

/**
 * 32 hexadecimal digits, 122 bits of them by chance, the right half but for two bits: what section 3.2.2.3 asks for. Node
 * keeps a store of random bytes for UUIDs; asking for bytes of one's own takes ten times as long.
 */
const createId = (): string => randomUUID().replaceAll('-', '');

/** A new part of the trace that `parent` belongs to, or the first of a trace that nobody records. */
export function createTraceContext(parent: TraceContext | null): TraceContext {
  const spanId = createId().slice(-SPAN_ID_LENGTH);
  return parent === null ? { traceId: createId(), spanId, isSampled: false } : { ...parent, spanId };
}
