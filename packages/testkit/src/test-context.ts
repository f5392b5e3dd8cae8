/** The part of a tap test that the helpers use: whatever they start is ended when the test is over. */
export interface TestContext {
  teardown(handler: () => unknown): unknown;
}
