export { fuzz, FUZZ_TIMEOUT_MS } from './fuzz-run.ts';
export { encodeRequest, nearlyValidRequests, type RawRequest, type RequestDraft } from './http-requests.ts';
export { complainAbout, exchangeRaw, parseAnswer, type RawAnswer } from './raw-exchange.ts';
