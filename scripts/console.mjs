// What the scripts say, and how they fail. Only Node's own modules: nothing is installed yet.

const hasColours = process.stdout.isTTY === true && !process.env.NO_COLOR;

/** A failure that the reader can do something about. */
export class ScriptError extends Error {
  /** @param {string} message the cause in one sentence @param {string} cure what to type or change */
  constructor(message, cure, exitCode = 1) {
    super(message);
    this.cure = cure;
    this.exitCode = exitCode;
  }
}

export function say(text = '') {
  process.stdout.write(`${text}\n`);
}

export function bold(text) {
  return hasColours ? `\x1b[1m${text}\x1b[0m` : text;
}

/** Runs a script's main function; a ScriptError ends the process with cause, cure and exit code, without a trace. */
export async function runScript(main) {
  try {
    const exitCode = await main();
    if (typeof exitCode === 'number') process.exitCode = exitCode;
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    say();
    say(`Cause: ${error.message}`);
    say(`Cure:  ${error.cure}`);
    process.exitCode = error.exitCode;
  }
}
