/**
 * `pointsman restore --from FILE --config CONFIG --witness ID --data DIR`: a new data directory, of one witness of
 * a cluster that is started anew from a backup. Offline; to be run for every witness of CONFIG with the same file.
 */
import { mkdir, readdir } from "node:fs/promises";
import type { Command } from "commander";
import { logIndex, NO_NODE, nodeId, term } from "../core/base/ids.js";
import { restoredState } from "../core/model/restored.js";
import { type Backup, readBackup } from "./backup-file.js";
import { CliError, EXIT } from "./exit-codes.js";
import { instant } from "./render-words.js";
import type { Cli } from "./terminal.js";

interface RestoreOptions {
  readonly from: string;
  readonly config: string;
  readonly witness: string;
  readonly data: string;
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
      "the document of the new cluster, of a higher version than the backup's",
    )
    .requiredOption("--witness <id>", "which witness of the document this directory is for")
    .requiredOption("--data <directory>", "the new directory; must be empty or absent")
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
      }
    });
}

async function restore({ state, header }: Backup, options: RestoreOptions): Promise<void> {
  const { loadConfig } = await import("../drivers/config/config.js");
  const { formatProblem } = await import("../drivers/config/problem.js");
  const loaded = await loadConfig(options.config);
  if (loaded.kind === "refused") {
    const problems = loaded.errors.map(formatProblem).join("; ");
    throw new CliError(EXIT.config, loaded.errors[0]?.code ?? "invalid", problems);
  }
  const { config } = loaded;
  const position = config.witnesses.findIndex(({ id }) => id === options.witness);
  if (position < 0) {
    const known = config.witnesses.map(({ id }) => id).join(", ");
    throw new CliError(
      EXIT.config,
      "unknown_witness",
      `${options.config} has no witness ${options.witness}; give --witness one of: ${known}`,
    );
  }
  const version = state.config?.version ?? 0;
  if (config.version <= version) {
    throw new CliError(
      EXIT.config,
      "restore_version",
      `version is ${config.version} in ${options.config}, and the backup holds ${version}: raise it to ${version + 1} or more`,
    );
  }
  await requireEmpty(options.data);
  const { openStorage } = await import("../drivers/storage/storage.js");
  const { StorageError } = await import("../drivers/storage/storage-error.js");
  const voters = config.witnesses.map((_, at) => nodeId(at + 1));
  const place = { index: logIndex(header.index), term: term(header.term) };
  const confState = { voters, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  const identity = { cluster: config.cluster, witness: config.witnesses[position]?.id ?? ("" as never) };
  try {
    const { storage } = await openStorage({ directory: options.data, identity });
    try {
      await storage.adopt({ node: nodeId(position + 1), bootstrap: [] });
      await storage.append({
        hardState: { term: place.term, vote: NO_NODE, commit: place.index },
        entries: [],
        snapshot: { ...place, confState, data: restoredState(state, config) },
      });
    } finally {
      await storage.close();
    }
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
    throw new CliError(EXIT.storage, thrown.code, thrown.message);
  }
}

async function requireEmpty(directory: string): Promise<void> {
  const names = await readdir(directory).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT")
      throw new CliError(EXIT.storage, "restore_directory", `cannot use ${directory}: ${error.message}`);
    await mkdir(directory, { recursive: true });
    return [];
  });
  if (names.length > 0) {
    throw new CliError(
      EXIT.storage,
      "restore_not_empty",
      `${directory} is not empty (${names.slice(0, 3).join(", ")}): move it aside, and name a new directory`,
    );
  }
}
