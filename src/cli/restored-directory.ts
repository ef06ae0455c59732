/**
 * What `restore` and `unsafe-recover` share: the document that the new cluster begins with, and a new data directory
 * whose log begins after one snapshot, the restored state.
 *
 * The directory is a new disk with an id of its own, and is not bound to its node until the new cluster has a leader:
 * whoever is left of the old cluster takes it for a stranger.
 */
import { InvalidArgumentError } from "commander";
import { NO_NODE } from "../core/base/ids.js";
import type { ClusterConfig } from "../core/model/config.js";
import { EPOCHS_LEFT_OUT, type Restoring, restoredState } from "../core/model/restored.js";
import type { State } from "../core/model/state.js";
import { CliError, EXIT } from "./exit-codes.js";
import { recoveryError } from "./recovery-codes.js";

/** The option of both verbs, with its text and default. */
export const LEAVE_OUT_EPOCHS = {
  flags: "--leave-out-epochs <n>",
  text: "raise the last epoch of every group by so many: more than the old cluster can have used meanwhile",
  parse(text: string): number {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < 1 || value > 1_000_000_000)
      throw new InvalidArgumentError("give a whole number from 1 to 1000000000.");
    return value;
  },
  standard: EPOCHS_LEFT_OUT,
} as const;

/** Reads the document, which must have the witness; returns it with the witness's position. */
export async function loadDocument(
  file: string,
  witness: string,
): Promise<{ readonly config: ClusterConfig; readonly position: number }> {
  const { loadConfig } = await import("../drivers/config/config.js");
  const { formatProblem } = await import("../drivers/config/problem.js");
  const loaded = await loadConfig(file);
  if (loaded.kind === "refused") {
    const problems = loaded.errors.map(formatProblem).join("; ");
    throw new CliError(EXIT.config, loaded.errors[0]?.code ?? "invalid", problems);
  }
  const { config } = loaded;
  const position = config.witnesses.findIndex(({ id }) => id === witness);
  if (position < 0) {
    const known = config.witnesses.map(({ id }) => id).join(", ");
    throw new CliError(
      EXIT.config,
      "unknown_witness",
      `${file} has no witness ${witness}; give --witness one of: ${known}`,
    );
  }
  return { config, position };
}

/** Refuses a document that the first leader could not replicate over the saved one. */
export function requireNewer(file: string, config: ClusterConfig, state: State, where: string): void {
  const version = state.config?.version ?? 0;
  if (config.version > version) return;
  throw recoveryError(
    "restore_version",
    `version is ${config.version} in ${file}, and ${where} holds ${version}: raise it to ${version + 1} or more`,
  );
}

/** Makes the data directory of one member of the new cluster; the directory is empty or absent. */
export async function makeDirectory(
  directory: string,
  position: number,
  state: State,
  restoring: Restoring,
): Promise<void> {
  const { config, index } = restoring;
  const node = restoring.nodes[position] ?? restoring.nextNode;
  const { openStorage } = await import("../drivers/storage/storage.js");
  const identity = { cluster: config.cluster, witness: config.witnesses[position]?.id ?? "" };
  const place = { index, term: restoring.term };
  const confState = {
    voters: restoring.nodes,
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  await storageErrors(async () => {
    const { storage } = await openStorage({ directory, identity });
    try {
      await storage.adopt({ node, bootstrap: [] });
      await storage.append({
        hardState: { term: place.term, vote: NO_NODE, commit: index },
        entries: [],
        snapshot: { ...place, confState, data: restoredState(state, restoring) },
      });
    } finally {
      await storage.close();
    }
  });
}

/** Runs `body`; a `StorageError` of it ends the command with the code of the storage. */
export async function storageErrors<T>(body: () => Promise<T>): Promise<T> {
  const { StorageError } = await import("../drivers/storage/storage-error.js");
  try {
    return await body();
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
    throw new CliError(EXIT.storage, thrown.code, thrown.message);
  }
}
