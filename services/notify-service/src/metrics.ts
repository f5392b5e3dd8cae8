import { counter, gauge, histogram, LATENCY_BUCKETS_SECONDS, type MetricTable } from '@infrasignal/service-kit';

/** Every metric of notify-service beside those that every service has; docs/metrics.md is generated from this table. */
export const metrics = {
  connections: gauge(
    'infrasignal_connections',
    'Open connections by kind: `own`, `feed` and `plain` sockets, `own-stream` and `feed-stream` server-sent events.',
    ['kind'],
  ),
  handshakes: counter(
    'infrasignal_handshakes_total',
    'Requests to listen by outcome: `accepted`, or the code of the error that they were refused with.',
    ['outcome'],
  ),
  closes: counter(
    'infrasignal_connection_closes_total',
    'Ended connections by close code: ours where we closed, else the peer’s (1006 without one); see close-codes.md.',
    ['code'],
  ),
  resumes: counter(
    'infrasignal_resumes_total',
    'Connections with a cursor that came in, by outcome: `fresh` (no cursor given), `recovered`, why they were not ' +
      '(`evicted`, `limit`, `unknown_cursor`), or `failed` (sent back to try again).',
    ['outcome'],
  ),
  renewals: counter(
    'infrasignal_token_renewals_total',
    'Fresh tokens on live sockets, by outcome: `renewed`, the code of the error, or the reason of the close.',
    ['outcome'],
  ),
  tickets: counter(
    'infrasignal_reconnect_tickets_total',
    'Reconnect tickets that came with a handshake: `accepted`, or `unknown` (another node’s, another token’s, too old), ' +
      'which only costs a signature check.',
    ['outcome'],
  ),
  announcements: counter(
    'infrasignal_socket_announcements_total',
    'What nodes tell each other of users’ sockets: `sent`, `heard` or `unreadable`.',
    ['outcome'],
  ),
  presentUsers: gauge(
    'infrasignal_present_users',
    'Users that this node says are connected to it, those in their 5 s of grace included.',
  ),
  presenceKeeper: gauge('infrasignal_presence_keeper', '1 on the node that announces who comes and goes, else 0.'),
  presenceChanges: counter('infrasignal_presence_changes_total', 'Changes of presence that this node announced.'),
  presenceTerms: counter('infrasignal_presence_keeper_terms_total', 'Times this node began to announce presence.'),
  presenceLeases: counter(
    'infrasignal_presence_leases_total',
    'Leases of this node’s users: `sent`, or `unreadable` messages among those that it heard as the keeper.',
    ['outcome'],
  ),
  presenceDeliveries: counter('infrasignal_presence_deliveries_total', 'Changes of presence handed to connections.'),
  deliveries: counter('infrasignal_deliveries_total', 'Events handed to connections as they happened.'),
  replayedEvents: counter('infrasignal_replayed_events_total', 'Events that resumes brought.'),
  repeatedDeliveries: counter(
    'infrasignal_repeated_deliveries_total',
    'Deliveries left out because the connection had the event already.',
  ),
  writes: counter('infrasignal_writes_total', 'Writes to connections.'),
  coalescedFrames: counter(
    'infrasignal_coalesced_frames_total',
    'Frames that left in one write with an earlier one: what coalescing saved.',
  ),
  writtenBytes: counter('infrasignal_written_bytes_total', 'Bytes of frames written to connections.'),
  queueBytes: gauge(
    'infrasignal_queue_bytes',
    'Bytes of this process that wait for readers: `due` to be written, or `unread` by peers that are slow.',
    ['state'],
  ),
  inboundMessages: counter(
    'infrasignal_inbound_messages_total',
    'Messages of clients: `valid`, or `invalid`, for which the socket is closed.',
    ['outcome'],
  ),
  revocationSeconds: histogram(
    'infrasignal_revocation_duration_seconds',
    'From the commit of the end of a session to the closing of each of its connections here. Spans two clocks: the ' +
      'database’s and this node’s.',
    LATENCY_BUCKETS_SECONDS,
  ),
  eventLagSeconds: histogram(
    'infrasignal_event_lag_seconds',
    'From the commit of an event to the moment at which it was written to the last connection here that is told of ' +
      'it. Events that nobody here listens to are not counted. Spans two clocks.',
    LATENCY_BUCKETS_SECONDS,
  ),
  consumerLag: gauge(
    'infrasignal_consumer_lag_events',
    'Messages of the stream that this node has not read. `NaN` while the broker does not answer.',
  ),
  eventsRead: counter('infrasignal_events_read_total', 'Messages read from the stream, repeated ones included.'),
  eventsUnknown: counter(
    'infrasignal_events_unknown_total',
    'Valid events of a type or version that this release does not know. They are relayed.',
  ),
  eventsInvalid: counter(
    'infrasignal_events_invalid_total',
    'Messages that are no valid events, by what is wrong. They are delivered to nobody.',
    ['reason'],
  ),
  eventsRepeated: counter(
    'infrasignal_events_repeated_total',
    'Events that had passed through this node before: the broker lost its newest ones and got them again.',
  ),
  consumerEnds: counter(
    'infrasignal_consumer_ends_total',
    'Consumers that were given up, by the doubt that ended them. Another is opened at once.',
    ['reason'],
  ),
  streamRecoveries: counter(
    'infrasignal_stream_recoveries_total',
    'Times the stream was not the one that was read before: a broker that lost its disk, or another one.',
  ),
  streamLosses: counter(
    'infrasignal_stream_losses_total',
    'Times events were gone from the stream before they were read. Never, unless the node was away for days.',
  ),
  joins: counter(
    'infrasignal_joins_total',
    'Joins and resumes by where they found what they needed: in `memory` alone, or at the `broker`.',
    ['source'],
  ),
  brokerReads: counter('infrasignal_broker_reads_total', 'Requests to the broker beside the consumer, by kind.', [
    'kind',
  ]),
  mergedReads: counter(
    'infrasignal_merged_reads_total',
    'Reads that were the same as one already under way, and took its answer.',
  ),
  refusedReads: counter(
    'infrasignal_refused_reads_total',
    'Reads given up before they were asked, because too many waited; their clients come back.',
  ),
} satisfies MetricTable;
