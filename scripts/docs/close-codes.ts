import { closeCodes, shouldReconnect } from '../../packages/shared/src/index.ts';
import { code, GENERATED_NOTE, renderTable } from './markdown.ts';

/** docs/close-codes.md */
export function renderCloseCodes(): string {
  const rows = Object.values(closeCodes)
    .toSorted((left, right) => left.code - right.code)
    .map((closeCode) => [
      String(closeCode.code),
      code(closeCode.reason),
      shouldReconnect(closeCode.code) ? 'yes' : 'no',
      closeCode.description,
    ]);
  return `${GENERATED_NOTE}

# Close codes of the socket

The range tells a client what to do, so that a client written today handles a code invented tomorrow:

- **4000–4499**: reconnect with full-jitter back-off and the last cursor.
- **4500–4999**: do not reconnect; the same attempt would end the same way.
- Every other code (1000–1015 of RFC 6455 section 7.4.1, 1006 for a connection that broke): reconnect.

${renderTable(['Code', 'Reason', 'Reconnect', 'Meaning'], rows)}

The reason is sent in the close frame and does not change. The protocol is described in
[websocket.md](protocol/websocket.md).
`;
}
