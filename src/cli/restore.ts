/**
 * `pointsman restore --from FILE --config CONFIG --witness ID --data DIR`: a new data directory, of one witness of
 * a cluster that is started anew from a backup. Offline; to be run for every witness of CONFIG with the same file.
 */
import { mkdir, readdir } from "node:fs/promises";
import type { Command } from "commander";
import { nodeId, term, witnessId } from "../core/base/ids.js";
import { placeAfter } from "../core/model/restored.js";
import { type Backup, readBackup } from "./backup-file.js";
import { recoveryError } from "./recovery-codes.js";
import { instant } from "./render-words.js";
import { LEAVE_OUT_EPOCHS, loadDocument, makeDirectory, requireNewer } from "./restored-directory.js";
import type { Cli } from "./terminal.js";

interface RestoreOptions {
  readonly from: string;
  readonly config: string;
  readonly witness: string;
  readonly data: string;
  readonly leaveOutEpochs: number;
  readonly json: boolean;
}

/** Adds the verb. */
export function registerRestore(program: Command, cli: Cli): void {
  program
    .command("restore")
    .description("make a new data directory from a backup, for a cluster that is started anew (offline)")
    .requiredOption("--from <file>", "what `pointsman backup` wrote; the same for every witness")
    .requiredOption(
      "--config <file>",
      "the document of the new cluster: another name, and a higher version than the backup's",
    )
    .requiredOption("--witness <id>", "which witness of the document this directory is for")
    .requiredOption("--data <directory>", "the new directory; must be empty or absent")
    .option(LEAVE_OUT_EPOCHS.flags, LEAVE_OUT_EPOCHS.text, LEAVE_OUT_EPOCHS.parse, LEAVE_OUT_EPOCHS.standard)
    .option("--json", "print JSON for programs", false)
    .action(async (options: RestoreOptions) => {
      const backup = await readBackup(options.from);
      await restore(backup, options);
      const { cluster, index, term: at, wallMs } = backup.header;
      const result = { data: options.data, witness: options.witness, index, term: at, sha256: backup.sha256 };
      if (options.json) cli.json(result);
      else {
        cli.out(
          `${options.data}: ${options.witness} with the state of ${cluster} at log index ${index}, of ${instant(wallMs)}`,
        );
        cli.note("restore every witness of the document from this same file before you start any of them");
        cli.note(
          "every group is on hold then: compare, switch over by hand if need be, then `pointsman resume GROUP`",
        );
      }
    });
}

async function restore({ state, header }: Backup, options: RestoreOptions): Promise<void> {
  const { config, position } = await loadDocument(options.config, options.witness);
  if (config.cluster === header.cluster) {
    throw recoveryError(
      "restore_cluster",
      `cluster is ${config.cluster} in ${options.config}, and so it was in the backup: give it a new name, so that ` +
        "whoever comes back from the old cluster is refused",
    );
  }
  requireNewer(options.config, config, state, "the backup");
  await requireEmpty(options.data);
  const nodes = config.witnesses.map((_, at) => nodeId(at + 1));
  await makeDirectory(options.data, position, state, {
    config,
    nodes,
    nextNode: nodeId(nodes.length + 1),
    index: placeAfter(state),
    term: term(header.term + 1),
    // The same for every witness, whenever it is run.
    by: witnessId(header.witness),
    wallMs: header.wallMs,
    epochsLeftOut: options.leaveOutEpochs,
    what: `restored from the backup of ${header.cluster} at log index ${header.index}, of ${instant(header.wallMs)}`,
  });
}

async function requireEmpty(directory: string): Promise<void> {
  const names = await readdir(directory).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT")
      throw recoveryError("restore_directory", `cannot use ${directory}: ${error.message}`);
    await mkdir(directory, { recursive: true });
    return [];
  });
  if (names.length > 0) {
    throw recoveryError(
      "restore_not_empty",
      `${directory} is not empty (${names.slice(0, 3).join(", ")}): move it aside, and name a new directory`,
    );
  }
}
