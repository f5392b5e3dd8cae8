import { EVENTS_STREAM_NAME, PRESENCE_STREAM_NAME, SECURITY_STREAM_NAME } from '@infrasignal/shared';
import { JetStreamApiCodes, JetStreamApiError, type StreamInfo } from '@nats-io/jetstream';
import { loadConfig } from '../config.ts';
import { withBroker, type BrokerSession } from './broker-session.ts';
import type { BareCommand } from './command.ts';

const MEBIBYTE = 1_048_576;

/** The stream; null when there is none. */
export async function findStream({ manager }: BrokerSession, name: string): Promise<StreamInfo | null> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) return null;
    throw error;
  }
}

interface StreamStatus {
  readonly name: string;
  readonly exists: boolean;
  readonly messages?: number;
  readonly bytes?: number;
  readonly first_at?: string | null;
  readonly last_at?: string | null;
  readonly replicas?: number;
  readonly leader?: string | null;
  /** Copies that are not where the leader is. */
  readonly lagging?: string[];
  readonly consumers?: number;
}

function toStatus(name: string, info: StreamInfo | null): StreamStatus {
  if (info === null) return { name, exists: false };
  const { state, config, cluster } = info;
  const isEmpty = state.messages === 0;
  return {
    name,
    exists: true,
    messages: state.messages,
    bytes: state.bytes,
    first_at: isEmpty ? null : String(state.first_ts),
    last_at: isEmpty ? null : String(state.last_ts),
    replicas: config.num_replicas,
    leader: cluster?.leader ?? null,
    lagging: (cluster?.replicas ?? []).flatMap(({ name: replica, current, offline }) =>
      current && offline !== true ? [] : [replica],
    ),
    consumers: state.consumer_count,
  };
}

function toLines(status: StreamStatus): string[] {
  if (!status.exists) return [`${status.name}: does not exist; a service that runs makes it`];
  const { name, messages = 0, bytes = 0, replicas = 1, leader, lagging = [], consumers = 0 } = status;
  const times = messages === 0 ? '' : `, from ${status.first_at ?? '?'} to ${status.last_at ?? '?'}`;
  const copies = replicas === 1 ? 'one copy' : `${replicas} copies, led by ${leader ?? 'nobody'}`;
  return [
    `${name}: ${messages} messages, ${(bytes / MEBIBYTE).toFixed(1)} MiB${times}`,
    `  ${copies}; ${consumers} readers`,
    ...lagging.map((replica) => `  behind or away: ${replica}`),
  ];
}

/** `infrasignal stream status` */
export const streamStatus: BareCommand = {
  name: 'stream status',
  usage: '',
  summary: 'Shows what the broker stores: how much, from when, in how many copies.',
  details: ['Exit code 1: the stream of events is not there, has no leader, or a copy of it is behind.'],
  examples: ['infrasignal stream status', 'infrasignal stream status --json'],
  runBare: async ({ environment }) => {
    const streams = await withBroker(loadConfig(environment), async (session) => {
      const names = [EVENTS_STREAM_NAME, SECURITY_STREAM_NAME, PRESENCE_STREAM_NAME];
      const all: StreamStatus[] = [];
      for (const name of names) all.push(toStatus(name, await findStream(session, name)));
      return all;
    });
    const isBad = ({ name, exists, replicas = 1, leader, lagging = [] }: StreamStatus): boolean =>
      (name === EVENTS_STREAM_NAME && !exists) || lagging.length > 0 || (replicas > 1 && leader === null);
    return { data: { streams }, lines: streams.flatMap(toLines), isFailed: streams.some(isBad) };
  },
};
