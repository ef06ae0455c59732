/**
 * `pointsman transfer WITNESS`: hand the leadership among the witnesses to a named one, before maintenance.
 */
import { Argument, type Command } from "commander";
import { witnessId } from "../core/base/ids.js";
import { askWrite, printAccepted } from "./accepted.js";
import { parseName, type WriteOptions, withWriteOptions } from "./client-options.js";
import type { Cli } from "./terminal.js";

/** Adds the verb. */
export function registerTransfer(program: Command, cli: Cli): void {
  withWriteOptions(program.command("transfer"))
    .description("make another witness the leader; moves no group")
    .addArgument(new Argument("<witness>", "name of the witness that shall lead").argParser(parseName))
    .action(async (witness: string, options: WriteOptions) => {
      printAccepted(await askWrite({ kind: "transfer", to: witnessId(witness) }, options, cli), options, cli);
    });
}
