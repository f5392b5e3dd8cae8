import { startManagedProcess, type ExitStatus } from '@infrasignal/local-stack';
import { createTestDirectory, waitFor, type TestContext } from '@infrasignal/testkit';
import { execFile, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BuiltImage } from './image-build.ts';

export interface Container {
  /** Runs the HEALTHCHECK command; its exit code. */
  checkHealth(): Promise<number>;
  /** The image's stop signal to process 1; how it ended. */
  stop(): Promise<ExitStatus>;
  logs(): string;
}

/** Whether this machine lets us make namespaces: what a container engine does, without its images. */
export function canIsolate(): boolean {
  return process.getuid?.() === 0 && spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status === 0;
}

/** The test runner loads a module of its own into every Node that is started; it is not in the image, nor for its user. */
function unobserved(command: readonly string[]): readonly string[] {
  return ['env', '-u', 'NODE_OPTIONS', ...command];
}

/**
 * Runs an image's command as its user, with its environment and nothing else. Where the machine allows it, as process 1 of
 * a namespace of its own, without any capability, in which every file system of the disk is read-only.
 */
export async function startContainer(t: TestContext, image: BuiltImage, env: Record<string, string>): Promise<Container> {
  const { config, root } = image;
  const cwd = join(root, config.workdir);
  const whole = { PATH: process.env.PATH, ...config.env, ...env };
  const logPath = join(createTestDirectory(t), 'container.log');
  closeSync(openSync(logPath, 'a'));
  const isIsolated = canIsolate();
  const [uid = 0, gid = 0] = config.user.split(':').map(Number);
  const isRoot = process.getuid?.() === 0;
  const child = await startManagedProcess({
    name: 'container',
    ...(isIsolated ? isolate(unobserved(config.command), uid, gid) : toCommand(unobserved(config.command))),
    ...(isRoot && !isIsolated ? { account: { uid, gid } } : {}),
    cwd,
    env: whole,
    logPath,
  });
  const findFirst = (): number => (isIsolated ? onlyChildOf(child.pid) : child.pid);
  t.teardown(() => child.kill());
  return {
    logs: () => readFileSync(logPath, 'utf8'),
    checkHealth: async () => {
      const { command, args } = toCommand(unobserved(config.healthcheck));
      const options = { cwd, env: whole, ...(isRoot ? { uid, gid } : {}) };
      return promisify(execFile)(command, args, options).then(
        () => 0,
        (error: unknown) => Number((error as { code: unknown }).code),
      );
    },
    stop: async () => {
      process.kill(await waitFor(findFirst, { description: 'process 1' }), config.stopSignal);
      return child.exited;
    },
  };
}

function toCommand([command = '', ...args]: readonly string[]): { command: string; args: string[] } {
  return { command, args };
}

/** Privileges go last: what runs is process 1 itself. Killing the outer process kills the inner one. */
function isolate(command: readonly string[], uid: number, gid: number): { command: string; args: string[] } {
  const account = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all'];
  const script = `mount -o remount,bind,ro / && exec setpriv ${account.join(' ')} "$@"`;
  const flags = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return { command: 'unshare', args: [...flags, 'sh', '-c', script, 'sh', ...command] };
}

function onlyChildOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}
