/**
 * The command line as a whole: the program and its verbs, one file each. Apart from main.ts so that it can be
 * looked at without being run: a test compares what the documents say with what is registered here.
 */
import { userInfo } from "node:os";
import { Command } from "commander";
import { packageVersion } from "../version.js";
import { registerBackup } from "./backup.js";
import { registerConfigCheck } from "./config-check.js";
import { registerDemo } from "./demo.js";
import { exitCodeHelp } from "./exit-codes.js";
import { registerExplain } from "./explain.js";
import { registerHistory } from "./history.js";
import { registerHold, registerResume } from "./hold.js";
import { registerMembers } from "./members.js";
import { registerRestore } from "./restore.js";
import { registerRun } from "./run.js";
import { registerStatus } from "./status.js";
import { registerSwitchover } from "./switchover.js";
import type { Cli } from "./terminal.js";
import { registerTransfer } from "./transfer.js";
import { registerUnsafeRecover } from "./unsafe-recover.js";
import { registerWatch } from "./watch.js";

/** The program with all its verbs, ready to parse. Parsing throws `CommanderError` and `CliError`. */
export function buildProgram(cli: Cli): Command {
  const program = new Command("pointsman")
    .description(
      "Failover between datacentres: witnesses agree on which site is primary, and move its names in DNS",
    )
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
  registerMembers(program, cli, user);
  registerBackup(program, cli);
  registerRestore(program, cli);
  registerUnsafeRecover(program, cli);
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
