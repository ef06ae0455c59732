#!/usr/bin/env node
/**
 * The `pointsman` command; program.ts has its verbs.
 *
 * Door of the room. Verbs throw `CliError` to end with a code of exit-codes.ts; anything else that is thrown
 * is a bug and ends with 70. With `--json` the answer on stdout is JSON in every case: a failure prints one
 * document `{"error":{"code":…,"message":…}}` there, and the sentence for people goes to stderr.
 */
import { CommanderError } from "commander";
import { CliError, EXIT } from "./exit-codes.js";
import { buildProgram } from "./program.js";
import { type Cli, terminal } from "./terminal.js";

/** Runs one command line; gives the exit code. */
async function run(cli: Cli, argv: readonly string[]): Promise<number> {
  try {
    await buildProgram(cli).parseAsync(argv, { from: "user" });
    return cli.exit;
  } catch (error) {
    // Commander has printed its own sentence, and help and version are no failures.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const failure =
      error instanceof CliError
        ? error
        : new CliError(
            EXIT.internal,
            "internal",
            error instanceof Error ? (error.stack ?? error.message) : String(error),
          );
    if (argv.includes("--json")) {
      cli.json({
        error: { code: failure.code, message: failure.message, exit: failure.exit, ...failure.facts },
      });
    }
    cli.note(`pointsman: ${failure.message} [${failure.code}]`);
    return failure.exit;
  }
}

process.exitCode = await run(terminal(), process.argv.slice(2));
