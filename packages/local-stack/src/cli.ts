import { runStackCommand } from './stack-command.ts';

const exitCode = await runStackCommand(process.argv.slice(2), process.env);
process.exit(process.exitCode ?? exitCode);
