import { execFile } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  forgetMount,
  guardMount,
  identifyProcess,
  isSameProcessAlive,
  waitFor,
  type ProcessIdentity,
} from '@infrasignal/local-stack';
import type { TestContext } from './test-context.ts';
import { createTestDirectory } from './test-directory.ts';

const run = promisify(execFile);

export interface TestDiskOptions {
  /** Where it appears; created when missing. */
  readonly mountPoint: string;
  readonly sizeMib: number;
}

const MIB = 1024 * 1024;

/** Directories of disks say whose they are, so that the ones of a process that died can be told from those in use. */
const DIRECTORY_PREFIX = 'infrasignal-disk-';

/**
 * `data=ordered` is what a server gets that asks for nothing. The journal is written when somebody asks for it and
 * otherwise as good as never: with the default of 5 s a file that nobody had flushed would be saved by chance.
 */
const MOUNT_OPTIONS = 'loop,noatime,data=ordered,commit=300';

/** Processes that were killed close their files within milliseconds, PostgreSQL's backends when they notice. */
const UNMOUNT_TIMEOUT_MS = 10_000;

/**
 * EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from now on nothing reaches the block device, the journal not
 * either, and every write fails. File systems are tested with it against power cuts. Node has no ioctl; perl is a part
 * of every Debian.
 */
const SHUTDOWN_PROGRAM = 'open(F, "<", $ARGV[0]) or die $!; my $flags = pack("I", 2); ioctl(F, 0x8004587d, $flags) or die $!';

/**
 * A disk of the test's own: ext4 in a file, behind a loop device.
 *
 * The file is what the disk's surface is: it has exactly what the kernel has written to the block device, and nothing
 * of what it only holds in the page cache of the mounted file system. (That the file lies in a page cache too, that of
 * the file system around it, does not matter: nobody cuts the power of that one. Hence no direct I/O either.) What this
 * disk has not is a cache of its own that loses what it was sent before a flush.
 */
export class TestDisk {
  readonly mountPoint: string;
  readonly #directory: string;
  readonly #sizeMib: number;
  #images = 0;
  #isMounted = false;
  #filler: number | null = null;

  private constructor({ mountPoint, sizeMib }: TestDiskOptions, directory: string) {
    this.mountPoint = mountPoint;
    this.#sizeMib = sizeMib;
    this.#directory = directory;
  }

  /** @throws Error when this machine does not allow it; see {@link findDiskObstacle} */
  static async create(t: TestContext, options: TestDiskOptions): Promise<TestDisk> {
    const { startedAt } = identifyProcess(process.pid) ?? { startedAt: '0' };
    const directory = createTestDirectory(t, `${DIRECTORY_PREFIX}${process.pid}-${startedAt}-`);
    const disk = new TestDisk(options, directory);
    mkdirSync(options.mountPoint, { recursive: true });
    guardMount(options.mountPoint);
    t.teardown(async () => {
      try {
        disk.free();
        await disk.#unmount();
      } catch (error) {
        // Whatever went wrong: the mount goes with the last process that still works on it.
        await run('umount', ['--lazy', options.mountPoint]).catch(() => undefined);
        throw error;
      } finally {
        forgetMount(options.mountPoint);
      }
    });
    await disk.#mountNew();
    return disk;
  }

  get #image(): string {
    return join(this.#directory, `image-${this.#images}`);
  }

  /**
   * The power goes and comes back: what was not written to the disk at this moment is lost. Whoever worked on it has to
   * be dead, or about to die.
   */
  async cutPower(): Promise<void> {
    await run('perl', ['-e', SHUTDOWN_PROGRAM, this.mountPoint]);
    const before = this.#image;
    this.#images += 1;
    await run('cp', ['--sparse=always', before, this.#image]);
    await this.#unmount();
    rmSync(before);
    await this.#mount(); // the file system replays its journal
  }

  /** An empty disk in the place of this one. Whoever worked on it has to be dead. */
  async replaceByEmpty(): Promise<void> {
    const before = this.#image;
    await this.#unmount();
    rmSync(before);
    this.#images += 1;
    await this.#mountNew();
  }

  /** Takes all the space that is left with a file of its own, from a root's reserve to the last byte. */
  fill(): void {
    this.#filler ??= openSync(join(this.mountPoint, 'filler'), 'w');
    for (let bytes = MIB; bytes >= 1; bytes = Math.floor(bytes / 4)) {
      const chunk = Buffer.alloc(bytes, 1);
      while (tryToWrite(this.#filler, chunk));
    }
    fsyncSync(this.#filler);
  }

  /** Gives the space back. */
  free(): void {
    if (this.#filler === null) return;
    closeSync(this.#filler);
    this.#filler = null;
    rmSync(join(this.mountPoint, 'filler'));
  }

  async #mountNew(): Promise<void> {
    writeFileSync(this.#image, '');
    truncateSync(this.#image, this.#sizeMib * MIB); // sparse
    // Nothing is left for later: the kernel would finish tables in the background, and write when nobody asked it to.
    const extended = 'lazy_itable_init=0,lazy_journal_init=0';
    await run('mkfs.ext4', ['-q', '-F', '-b', '4096', '-m', '0', '-E', extended, this.#image]);
    await this.#mount();
    rmdirSync(join(this.mountPoint, 'lost+found')); // a server may take it for its own
  }

  async #mount(): Promise<void> {
    await run('mount', ['-t', 'ext4', '-o', MOUNT_OPTIONS, this.#image, this.mountPoint]);
    this.#isMounted = true;
  }

  /** The loop device goes with the mount. */
  async #unmount(): Promise<void> {
    if (!this.#isMounted) return;
    const unmount = async (): Promise<boolean> => {
      await run('umount', [this.mountPoint]);
      return true;
    };
    await waitFor(unmount, { timeoutMs: UNMOUNT_TIMEOUT_MS, description: `${this.mountPoint} to be unmounted` });
    this.#isMounted = false;
  }
}

/** @returns false when there is no space for all of it */
function tryToWrite(file: number, chunk: Buffer): boolean {
  try {
    return writeSync(file, chunk) === chunk.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

/** Tries, and tidies up: why no {@link TestDisk} can be had on this machine, or null when one can. */
export async function findDiskObstacle(): Promise<string | null> {
  if (process.platform !== 'linux') return `ext4 in a loop file needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'only root may mount an ext4 in a loop file';
  const handlers: (() => unknown)[] = [];
  const t: TestContext = { teardown: (handler) => handlers.unshift(handler) };
  try {
    await removeStaleDisks();
    const mountPoint = join(createTestDirectory(t), 'disk');
    const disk = await TestDisk.create(t, { mountPoint, sizeMib: 8 });
    await disk.cutPower();
    return null;
  } catch (error) {
    const { message, stderr = '' } = error as Error & { stderr?: string };
    return `this machine allows no ext4 in a loop file: ${stderr.trim() === '' ? message : stderr.trim()}`;
  } finally {
    for (const handler of handlers) await Promise.resolve(handler()).catch(() => undefined);
  }
}

/** Removes what is left of the disks of processes that died, should their reaper have died with them. */
async function removeStaleDisks(): Promise<void> {
  const { stdout } = await run('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE']);
  for (const line of stdout.split('\n')) {
    const [device = '', backFile = ''] = line.split(' ');
    const owner = findOwner(backFile.slice(tmpdir().length + 1));
    // Its mount goes as soon as the last process on it has ended, and the device with the mount.
    if (owner !== null && !isSameProcessAlive(owner)) await run('umount', ['--lazy', device]).catch(() => undefined);
  }
  for (const name of readdirSync(tmpdir())) {
    const owner = findOwner(name);
    if (owner !== null && !isSameProcessAlive(owner)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Whose disk lies at this path below the directory for temporary files; null: it is no disk. */
function findOwner(path: string): ProcessIdentity | null {
  const match = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-(\\d+)-`).exec(path);
  return match === null ? null : { pid: Number(match[1]), startedAt: match[2] ?? '' };
}
