/** One message of the event stream, as a consumer delivers it or a read finds it. */
export interface StreamMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Its position: the stream's own sequence. */
  readonly sequence: number;
  /** When the broker stored it, by the broker's clock, in milliseconds since 1970. */
  readonly storedAtMs: number;
}
