/**
 * `pointsman hold GROUP --reason WHY` and `pointsman resume GROUP`: stop automatic decisions of a group, and allow them
 * again. Two verbs in one file because each is half of the other.
 */
import { Argument, type Command, Option } from "commander";
import { askWrite, printAccepted } from "./accepted.js";
import { parseName, parseText, type WriteOptions, withBy, withWriteOptions } from "./client-options.js";
import type { Cli } from "./terminal.js";

/** Adds `hold`. */
export function registerHold(program: Command, cli: Cli, user: string): void {
  withBy(withWriteOptions(program.command("hold")), user)
    .description("stop automatic decisions of a group; switchovers by hand stay possible")
    .addArgument(new Argument("<group>", "name of the group").argParser(parseName))
    .addOption(
      new Option("--reason <why>", "for the one who finds it on hold")
        .argParser(parseText)
        .makeOptionMandatory(),
    )
    .action(async (group: string, options: WriteOptions & { by: string; reason: string }) => {
      const { by, reason } = options;
      printAccepted(await askWrite({ kind: "hold", group, by, reason }, options, cli), options, cli);
    });
}

/** Adds `resume`. */
export function registerResume(program: Command, cli: Cli, user: string): void {
  withBy(withWriteOptions(program.command("resume")), user)
    .description("allow automatic decisions of a group again")
    .addArgument(new Argument("<group>", "name of the group").argParser(parseName))
    .action(async (group: string, options: WriteOptions & { by: string }) => {
      printAccepted(await askWrite({ kind: "resume", group, by: options.by }, options, cli), options, cli);
    });
}
