/**
 * `pointsman status`: the whole picture from one witness.
 */
import type { Command } from "commander";
import { askRequest } from "./ask.js";
import { type ClientOptions, withClientOptions } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { renderStatus } from "./render-status.js";
import type { Cli } from "./terminal.js";

/** Adds the verb. */
export function registerStatus(program: Command, cli: Cli): void {
  withClientOptions(program.command("status"))
    .description("show who leads, every group, and what each witness sees")
    .option("--linearizable", "have a majority confirm that the answer is not older than the question", false)
    .action(async (options: ClientOptions & { linearizable: boolean }) => {
      const { answer } = await askRequest(options, cli.note, {
        kind: "status",
        linearizable: options.linearizable,
      });
      if (answer.kind !== "status")
        throw new CliError(EXIT.internal, "internal", `got ${answer.kind} for status`);
      if (options.json) cli.json(answer.status);
      else cli.out(renderStatus(answer.status, cli.paint));
    });
}
