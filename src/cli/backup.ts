/**
 * `pointsman backup --out FILE`: the replicated state, confirmed by a majority, as one file.
 */
import { createHash } from "node:crypto";
import { type Command, Option } from "commander";
import { crc32c } from "../core/base/crc32c.js";
import type { Refusal } from "../core/model/admin.js";
import type { AdminConnection } from "../drivers/server/admin-client.js";
import type { BackupStart } from "../drivers/server/admin-wire.js";
import { ask } from "./ask.js";
import { type BackupHeader, BackupWriter } from "./backup-file.js";
import { type ClientOptions, withClientOptions } from "./client-options.js";
import type { CliError } from "./exit-codes.js";
import { recoveryError } from "./recovery-codes.js";
import { type Cli, printable } from "./terminal.js";

interface BackupOptions extends ClientOptions {
  readonly out: string;
  readonly force: boolean;
}

const PROGRESS_EVERY_MS = 500;

interface Taken extends BackupHeader {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Adds the verb. */
export function registerBackup(program: Command, cli: Cli): void {
  withClientOptions(program.command("backup"))
    .description("write the replicated state (tickets, epochs, holds, history) into a file")
    .addOption(new Option("-o, --out <file>", "the file; complete or not there").makeOptionMandatory())
    .option("--force", "replace a file of that name", false)
    .action(async (options: BackupOptions) => {
      const { answer } = await ask<Taken>(options, cli.note, (connection, timeoutMs) =>
        take(connection, timeoutMs, options, progressOn(cli, options)),
      );
      if (options.json) cli.json(answer);
      else {
        cli.out(
          `${printable(answer.file)}: state of ${printable(answer.cluster)} at log index ${answer.index}, ` +
            `${answer.bytes} bytes, sha256 ${answer.sha256}`,
        );
      }
    });
}

/** How much has arrived, where a person looks and not too often; nothing elsewhere. */
function progressOn(cli: Cli, { json, out }: BackupOptions): (bytes: number) => void {
  let toldAtMs = Date.now();
  return (bytes) => {
    if (json || Date.now() - toldAtMs < PROGRESS_EVERY_MS) return;
    toldAtMs = Date.now();
    cli.progress(`${printable(out)}: ${(bytes / 1e6).toFixed(1)} MB so far`);
  };
}

/** Takes a backup over one connection. */
async function take(
  connection: AdminConnection,
  silenceMs: number,
  { out, force }: BackupOptions,
  progress: (bytes: number) => void,
): Promise<Taken | Refusal> {
  const broken = (what: string): CliError =>
    recoveryError("backup_broken", `${connection.address} sent ${what}; try again`);
  const digest = createHash("sha256");
  let writer: BackupWriter | null = null;
  let start: BackupStart | null = null;
  let parts = 0;
  let isWhole = false;
  try {
    const chunks = connection.backup(silenceMs);
    for (;;) {
      const next = await chunks.next();
      if (next.done === true) {
        if (next.value !== null) return next.value;
        break;
      }
      const chunk = next.value;
      if (chunk.kind === "start") {
        start = chunk;
        const { kind: _, ...header } = chunk;
        writer ??= await BackupWriter.begin(out, force, header);
      } else if (chunk.kind === "part") {
        if (crc32c(chunk.data) !== chunk.crc) throw broken(`part ${parts + 1} with another checksum`);
        digest.update(chunk.data);
        parts += 1;
        await writer?.part(chunk.data);
        progress(writer?.size ?? 0);
      } else {
        if (chunk.parts !== parts || !digest.digest().equals(chunk.sha256)) throw broken("another digest");
        isWhole = true;
      }
    }
    if (writer === null || start === null || !isWhole) throw broken("a backup without an end");
    const sha256 = await writer.end();
    const { cluster, witness, index, term, wallMs } = start;
    const { size } = writer;
    writer = null;
    return { file: out, cluster, witness, index, term, wallMs, bytes: size, sha256 };
  } finally {
    await writer?.abandon();
  }
}
