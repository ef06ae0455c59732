/**
 * What all writes have in common: ask, then say that it is decided and where.
 */
import type { WriteRequest } from "../core/model/admin.js";
import type { AcceptedResponse } from "../drivers/server/admin-wire.js";
import { askRequest } from "./ask.js";
import { askPatiently } from "./ask-patiently.js";
import type { ClientOptions, WriteOptions } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { type Cli, printable } from "./terminal.js";

/** Puts a write to the cluster, for as long as the patience lasts; throws `CliError` unless it is decided. */
export async function askWrite(
  request: WriteRequest,
  options: WriteOptions,
  cli: Cli,
): Promise<AcceptedResponse> {
  const { answer } =
    options.patience === 0
      ? await askRequest(options, cli.note, request)
      : await askPatiently(options, cli.note, request);
  if (answer.kind !== "accepted") {
    throw new CliError(EXIT.internal, "internal", `got ${answer.kind} for ${request.kind}`);
  }
  return answer;
}

/** Prints a decided write. */
export function printAccepted(accepted: AcceptedResponse, options: ClientOptions, cli: Cli): void {
  if (options.json) {
    cli.json({ index: accepted.index, epoch: accepted.epoch, message: accepted.message });
    return;
  }
  const isNamed = accepted.epoch === null || accepted.message.includes(`epoch ${accepted.epoch},`);
  const epoch = isNamed ? "" : `, epoch ${accepted.epoch}`;
  cli.out(`${printable(accepted.message)} (log index ${accepted.index}${epoch})`);
}
