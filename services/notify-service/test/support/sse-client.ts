import { waitFor } from '@infrasignal/testkit';
import type { ConnectedFrame, NotificationFrame } from '@infrasignal/shared';
import { request, type IncomingMessage } from 'node:http';

export interface StreamOptions {
  readonly token?: string;
  readonly after?: string;
  readonly lastEventId?: string;
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly path?: string;
  /** False: nothing of the body is read. */
  readonly reads?: boolean;
}

/** One server-sent event, with the fields as they came. */
export interface SentEvent {
  readonly event: string;
  readonly id: string | null;
  readonly retry: number | null;
  readonly data: Record<string, unknown> & { readonly type: string };
}

function ask(url: string, options: StreamOptions): Promise<IncomingMessage> {
  const { token, after, lastEventId, headers = {}, method = 'GET', path = '/sse/notifications/' } = options;
  const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
  return new Promise((resolve, reject) => {
    request(`${url}${path}${query}`, {
      method,
      agent: false,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        ...headers,
      },
    })
      .on('response', resolve)
      .on('error', reject)
      .end();
  });
}

/** A client that keeps everything it was sent. */
export class SseClient {
  readonly response: IncomingMessage;
  /** The body as it came. */
  text = '';
  isEnded = false;

  constructor(response: IncomingMessage, reads: boolean) {
    this.response = response;
    response.on('close', () => {
      this.isEnded = true;
    });
    response.on('error', () => undefined);
    if (!reads) return;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      this.text += chunk;
    });
  }

  /** Whole events, in the words of WHATWG HTML section 9.2.6: blocks of lines, each a field. */
  get events(): SentEvent[] {
    const blocks = this.text.split('\n\n').slice(0, -1);
    return blocks.flatMap((block) => {
      const fields = new Map<string, string>();
      for (const line of block.split(/\r\n|\r|\n/)) {
        const [, name = '', value = ''] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? [];
        if (name === 'data' && fields.has('data')) fields.set('data', `${fields.get('data') ?? ''}\n${value}`);
        else if (name !== '') fields.set(name, value);
      }
      const data = fields.get('data');
      if (data === undefined) return [];
      const retry = fields.get('retry');
      return [
        {
          event: fields.get('event') ?? 'message',
          id: fields.get('id') ?? null,
          retry: retry === undefined ? null : Number(retry),
          data: JSON.parse(data) as SentEvent['data'],
        },
      ];
    });
  }

  named(event: string): SentEvent[] {
    return this.events.filter((candidate) => candidate.event === event);
  }

  get connected(): ConnectedFrame {
    const [event] = this.named('connected');
    if (event === undefined) throw new Error('not connected yet');
    return event.data as unknown as ConnectedFrame;
  }

  get notifications(): NotificationFrame[] {
    return this.named('notification').map(({ data }) => data as unknown as NotificationFrame);
  }

  get seqs(): number[] {
    return this.notifications.map(({ seq }) => seq);
  }

  /** What a client that follows the standard would send as `Last-Event-ID`. */
  get lastEventId(): string {
    return this.events.findLast(({ id }) => id !== null)?.id ?? '';
  }

  async waitForNotifications(count: number): Promise<NotificationFrame[]> {
    await waitFor(() => this.notifications.length >= count, { description: `${count} notifications` });
    return this.notifications;
  }

  /** Waits for the end; gives what the last event said. */
  async waitForEnd(timeoutMs?: number): Promise<SentEvent['data'] | null> {
    await waitFor(() => this.isEnded, { timeoutMs, description: 'the stream to end' });
    return this.events.at(-1)?.data ?? null;
  }

  close(): void {
    this.response.destroy();
  }
}

/** Opens a stream; resolves after the `connected` event. @throws when it is refused. */
export async function openStream(url: string, options: StreamOptions = {}): Promise<SseClient> {
  const response = await ask(url, options);
  const client = new SseClient(response, options.reads ?? true);
  if (response.statusCode !== 200) throw new Error(`refused with ${response.statusCode ?? 0}`);
  if (options.reads ?? true) {
    await waitFor(() => client.connected, { intervalMs: 2, description: 'the connected event' });
  }
  return client;
}

export interface StreamRefusal {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Asks for a stream and reads the whole answer, which must end. */
export async function askForStream(url: string, options: StreamOptions = {}): Promise<StreamRefusal> {
  const response = await ask(url, options);
  response.setEncoding('utf8');
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}
