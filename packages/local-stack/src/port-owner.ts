import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readCommandLine } from './process-identity.mjs';

/**
 * Names the process that listens on a TCP port, for instance `process 4711: python3 -m http.server`, as far as this
 * user may see it (Linux); null otherwise.
 */
export function describePortOwner(port: number): string | null {
  try {
    const inodes = new Set([...readListeners('/proc/net/tcp', port), ...readListeners('/proc/net/tcp6', port)]);
    if (inodes.size === 0) return null;
    for (const entry of readdirSync('/proc')) {
      if (/^\d+$/.test(entry) && hasSocket(entry, inodes)) {
        return `process ${entry}: ${(readCommandLine(Number(entry)) ?? '?').slice(0, 100)}`;
      }
    }
  } catch {
    // No /proc: not Linux.
  }
  return null;
}

/** Inode numbers of the sockets that listen on a port. The table's format: proc_net_tcp in the kernel's documentation. */
function readListeners(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync(table, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${wanted}`) === true && fields[3] === '0A')
    .map((fields) => fields[9] ?? '');
}

function hasSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).some((descriptor) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${directory}/${descriptor}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    return false; // another user's process, or gone
  }
}
