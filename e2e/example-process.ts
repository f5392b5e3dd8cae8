import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import type { TestContext } from '@infrasignal/testkit';

/** An inherited example that runs, and everything it has printed. */
export interface RunningExample {
  /** @throws Error with its output when it has ended, which it does by itself only when something is wrong */
  output(): string;
}

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

/** Runs a program until the test is over. */
export function runExample(t: TestContext, command: string, args: readonly string[]): RunningExample {
  const child = spawn(command, [...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PYTHONUNBUFFERED: '1', PYTHONIOENCODING: 'utf-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let failure: Error | null = null;
  child.on('error', (error) => (failure = error));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => (output += chunk));
  }
  const ended = new Promise<void>((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    output: () => {
      if (failure !== null) throw failure;
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}:\n${output}`);
      return output;
    },
  };
}

/** The notifications that original.py has printed: `< {…}`, as they came from the socket. */
export function readPythonNotifications(output: string): string[] {
  return [...output.matchAll(/^< (\{.*\})$/gm)].map((match) => match[1] ?? '');
}

/** The notifications that original.js has printed on Node: an object as `console.log` writes it. */
export function readNodeNotifications(output: string): string[] {
  const printed = [...output.matchAll(/^Message reçu: (\{[^]*?^\})$/gm)].map((match) => match[1] ?? '');
  return printed.map((literal) => JSON.stringify(runInNewContext(`(${literal})`)));
}
