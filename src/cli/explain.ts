/**
 * `pointsman explain GROUP`: why a group stays or moves, and what would have to change.
 */
import { Argument, type Command } from "commander";
import type { Explanation, StatusReport } from "../core/model/admin.js";
import { ask } from "./ask.js";
import { type ClientOptions, parseName, withClientOptions } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { renderExplanation } from "./render-explain.js";
import type { Cli } from "./terminal.js";

/** Adds the verb. */
export function registerExplain(program: Command, cli: Cli): void {
  withClientOptions(program.command("explain"))
    .description("say in words what each witness sees and why a group stays or moves")
    .addArgument(new Argument("<group>", "name of the group").argParser(parseName))
    .action(async (group: string, options: ClientOptions) => {
      const { answer } = await ask(options, cli.note, async (connection, timeoutMs) => {
        const explained = await connection.request({ kind: "explain", group }, timeoutMs);
        if (explained.kind === "refused") return explained;
        if (explained.kind !== "explain") {
          throw new CliError(EXIT.internal, "internal", `got ${explained.kind} for explain`);
        }
        // The same witness's status holds the evidence behind each opinion; the answer stands without it, too.
        const status = options.json ? null : await statusOf(connection.request, timeoutMs);
        return { explanation: explained.explanation, status } satisfies Answer;
      });
      if (options.json) cli.json(answer.explanation);
      else cli.out(renderExplanation(answer.explanation, answer.status, cli.paint));
    });
}

interface Answer {
  readonly explanation: Explanation;
  readonly status: StatusReport | null;
}

async function statusOf(
  request: import("../drivers/server/admin-client.js").AdminConnection["request"],
  timeoutMs: number,
): Promise<StatusReport | null> {
  const answer = await request({ kind: "status", linearizable: false }, timeoutMs).catch(() => null);
  return answer?.kind === "status" ? answer.status : null;
}
