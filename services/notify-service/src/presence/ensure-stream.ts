import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream';

/** nats-server's code for a stream of this name that is configured otherwise. */
const NAME_IN_USE = 10_058;

type StreamConfig = Parameters<JetStreamManager['streams']['add']>[0];

/** Creates a stream if it is missing. One that is there is left as it is: its operator may have changed it. */
export async function ensureStream(manager: JetStreamManager, config: StreamConfig): Promise<void> {
  try {
    await manager.streams.add(config);
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === NAME_IN_USE)) throw error;
  }
}
