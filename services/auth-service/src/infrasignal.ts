#!/usr/bin/env node
import { runCli } from './cli/cli.ts';

const { stdout, stderr } = process;

process.exitCode = await runCli(process.argv.slice(2), process.env, {
  out: (line) => stdout.write(`${line}\n`),
  error: (line) => stderr.write(`${line}\n`),
  // Back to the first column, the text, and what stood behind it gone (ECMA-48 EL).
  ...(stderr.isTTY ? { redraw: (text: string) => stderr.write(`\r${text}\u001b[K`) } : {}),
});
