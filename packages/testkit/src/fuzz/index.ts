export { fuzz, FUZZ_TIMEOUT_MS } from './fuzz-run.ts';
export { fuzzedRequests, pathOf, type RawRequest, type RequestDraft } from './http-requests.ts';
export { LeftAlive } from './left-alive.ts';
export { complainAbout, exchangeRaw, parseAnswer, type RawAnswer } from './raw-exchange.ts';
