#!/usr/bin/env node
/**
 * The `pointsman` command: one verb a file, each registered below.
 *
 * Door of the room. Verbs throw `CliError` to end with a code of exit-codes.ts; anything else that is thrown
 * is a bug and ends with 70. With `--json` the answer on stdout is JSON in every case: a failure prints one
 * document `{"error":{"code":…,"message":…}}` there, and the sentence for people goes to stderr.
 */
import { userInfo } from "node:os";
import { Command, CommanderError } from "commander";
import { packageVersion } from "../version.js";
import { registerConfigCheck } from "./config-check.js";
import { registerDemo } from "./demo.js";
import { CliError, EXIT, exitCodeHelp } from "./exit-codes.js";
import { registerExplain } from "./explain.js";
import { registerHistory } from "./history.js";
import { registerHold, registerResume } from "./hold.js";
import { registerRun } from "./run.js";
import { registerStatus } from "./status.js";
import { registerSwitchover } from "./switchover.js";
import { type Cli, terminal } from "./terminal.js";
import { registerTransfer } from "./transfer.js";
import { registerWatch } from "./watch.js";

function buildProgram(cli: Cli): Command {
  const program = new Command("pointsman")
    .description("Failover between datacentres: witnesses agree on which site is primary, and move the name")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: (text) => cli.out(text.replace(/\n$/, "")) })
    .showHelpAfterError("(pointsman --help, or pointsman VERB --help, says more)")
    .addHelpText("after", exitCodeHelp());
  const user = currentUser(cli);
  registerRun(program, cli);
  registerStatus(program, cli);
  registerExplain(program, cli);
  registerWatch(program, cli);
  registerHistory(program, cli);
  registerSwitchover(program, cli, user);
  registerHold(program, cli, user);
  registerResume(program, cli, user);
  registerTransfer(program, cli);
  registerDemo(program, cli);
  registerConfigCheck(program.command("config").description("work with configuration files"), cli);
  return program;
}

/** Who runs this: $USER first, since it names the person behind a container's numeric user. */
function currentUser(cli: Cli): string {
  const named = cli.env["USER"]?.trim();
  if (named) return named.slice(0, 100);
  try {
    return userInfo().username;
  } catch {
    return "unknown";
  }
}

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
