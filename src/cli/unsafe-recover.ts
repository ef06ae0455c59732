/**
 * `pointsman unsafe-recover`: the last resort when a majority is lost for good. Turns the data directory of one witness
 * that is left into that of a cluster of its own. Offline.
 *
 * Nothing can be proven any more: what the lost ones agreed on without this one is lost, and what stands at the end of
 * this log may have been decided or not. All of it is kept unless `--committed-only` says otherwise, since something
 * that was acknowledged to a person may be there; and what was never decided is harmless in a state whose groups are
 * all on hold and whose epochs have moved on.
 *
 * Order, so that a crash loses nothing: the lock is taken; a copy is read, never the directory itself; the new
 * directory is complete beside it before the old one gets another name and the new one gets the old name.
 */
import { cp, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { nodeId, type Term, term, type WitnessId } from "../core/base/ids.js";
import { placeAfter } from "../core/model/restored.js";
import { EMPTY_STATE, type State } from "../core/model/state.js";
import { foldLog } from "../core/witness/fold.js";
import type { Restored } from "../drivers/storage/storage.js";
import { recoveryError } from "./recovery-codes.js";
import {
  LEAVE_OUT_EPOCHS,
  loadDocument,
  makeDirectory,
  requireNewer,
  storageErrors,
} from "./restored-directory.js";
import { type Cli, printable } from "./terminal.js";

interface RecoverOptions {
  readonly data: string;
  readonly witness: string;
  readonly config: string;
  readonly cluster: string;
  readonly committedOnly: boolean;
  readonly leaveOutEpochs: number;
  readonly iAcceptDataLoss: boolean;
  readonly json: boolean;
}

/** The node ids that the lost members may have given away without this one. */
const NODES_LEFT_OUT = 100;

/** Adds the verb. */
export function registerUnsafeRecover(program: Command, cli: Cli): void {
  program
    .command("unsafe-recover")
    .description("a majority is lost for good: make one survivor a cluster of its own (offline, loses data)")
    .requiredOption(
      "--data <directory>",
      "the survivor's data directory; kept beside, as DIRECTORY.before-recover",
    )
    .requiredOption("--witness <id>", "the survivor")
    .requiredOption("--config <file>", "a document of a higher version that lists the survivor alone")
    .requiredOption("--cluster <name>", "the cluster's name, typed once more")
    .option("--committed-only", "drop what this witness does not know to be decided", false)
    .option(LEAVE_OUT_EPOCHS.flags, LEAVE_OUT_EPOCHS.text, LEAVE_OUT_EPOCHS.parse, LEAVE_OUT_EPOCHS.standard)
    .option("--i-accept-data-loss", "do it; without, it is only shown what would be done", false)
    .option("--json", "print JSON for programs", false)
    .action((options: RecoverOptions) => recover(options, cli));
}

async function recover(options: RecoverOptions, cli: Cli): Promise<void> {
  const { config, position } = await loadDocument(options.config, options.witness);
  if (options.cluster !== config.cluster) {
    throw recoveryError(
      "recover_cluster",
      `--cluster is ${options.cluster}, and ${options.config} says ${config.cluster}: is it the right directory and the right document?`,
    );
  }
  if (config.witnesses.length !== 1) {
    const others = config.witnesses.map(({ id }) => id).filter((id) => id !== options.witness);
    throw recoveryError(
      "recover_witnesses",
      `witnesses of ${options.config} has ${others.join(", ")} besides ${options.witness}: take them out, they are added again later`,
    );
  }
  const data = resolve(options.data);
  const kept = `${data}.before-recover`;
  await requireData(data, kept);
  const { lockDirectory } = await import("../drivers/storage/log-store.js");
  const lock = await storageErrors(() => lockDirectory(join(data, "lock")));
  const fresh = `${data}.recovering`;
  try {
    const saved = await readCopy(data, options);
    const found = judgeSaved(saved, options);
    requireNewer(options.config, config, found.state, data);
    tell(found, saved, options, cli);
    if (!options.iAcceptDataLoss) {
      throw recoveryError(
        "recover_not_accepted",
        "nothing was changed. See that no other witness of this cluster can ever come back with its data, then add --i-accept-data-loss",
      );
    }
    const node = saved.adopted?.node ?? nodeId(1);
    await rm(fresh, { recursive: true, force: true });
    await makeDirectory(fresh, position, found.state, {
      config,
      nodes: [node],
      nextNode: nodeId(Math.max(found.state.nextNode, node + 1) + NODES_LEFT_OUT),
      index: placeAfter(found.state),
      term: term(found.term + 1),
      by: options.witness as WitnessId,
      wallMs: Date.now(),
      epochsLeftOut: options.leaveOutEpochs,
      what:
        `recovered from ${options.witness} alone at log index ${found.state.appliedIndex}, its majority lost` +
        (found.droppedEntries === 0 ? "" : ` and ${found.droppedEntries} entries dropped`),
    });
    await exchange(data, fresh, kept);
    const { appliedIndex: index } = found.state;
    if (options.json) cli.json({ ...found.summary, data, kept, index, node });
    else
      cli.out(
        `${printable(data)}: ${options.witness} alone is the cluster now; the old directory is ${printable(kept)}`,
      );
    cli.note(
      "remove the directories of all other witnesses, start this one, then add the others: docs/operations.md",
    );
  } finally {
    await lock.close();
    await rm(fresh, { recursive: true, force: true });
  }
}

async function requireData(data: string, kept: string): Promise<void> {
  const keptIsThere = await isThere(kept);
  if (!(await isThere(join(data, "identity.json")))) {
    const hint = keptIsThere
      ? `; ${kept} is there: an earlier recovery was cut short, name it ${data} again`
      : "";
    throw recoveryError(
      "recover_no_data",
      `${data} holds no identity.json: name the survivor's data directory${hint}`,
    );
  }
  if (keptIsThere)
    throw recoveryError("recover_kept", `${kept} is there, kept by an earlier recovery: move it elsewhere`);
}

/** What the directory holds, read from a copy: opening a storage may repair it, and the evidence shall stay. */
async function readCopy(data: string, options: RecoverOptions): Promise<Restored> {
  const { openStorage } = await import("../drivers/storage/storage.js");
  const copy = `${data}.recover-copy`;
  const lock = join(data, "lock");
  try {
    await rm(copy, { recursive: true, force: true });
    await cp(data, copy, { recursive: true, filter: (from) => from !== lock }).catch((error: Error) => {
      throw recoveryError("recover_directory", `cannot copy ${data} to ${copy}: ${error.message}`);
    });
    const identity = { cluster: options.cluster, witness: options.witness };
    return await storageErrors(async () => {
      const { storage, restored } = await openStorage({ directory: copy, identity });
      await storage.close();
      return restored;
    });
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

interface Found {
  readonly state: State;
  /** The highest that this witness knows of. */
  readonly term: Term;
  readonly droppedEntries: number;
  /** The same as it is printed, for programs. */
  readonly summary: Readonly<Record<string, unknown>>;
}

function judgeSaved(saved: Restored, { committedOnly }: RecoverOptions): Found {
  const { hardState, entries, snapshot, base } = saved;
  const start = snapshot?.data;
  const last = entries.at(-1) ?? base;
  const taken = committedOnly ? entries.filter(({ index }) => index <= hardState.commit) : entries;
  if (start === undefined && taken.length === 0)
    throw recoveryError(
      "recover_empty",
      "the log is empty: there is nothing to go on with, start the cluster anew",
    );
  const state = foldLog(start ?? EMPTY_STATE, taken);
  if ("error" in state)
    throw recoveryError(
      "recover_unreadable",
      `${state.error}: use the release that wrote it, or --committed-only`,
    );
  if (state.config === null)
    throw recoveryError(
      "recover_empty",
      "the log holds no document yet: there is nothing to go on with, start the cluster anew",
    );
  const highest = term(Math.max(hardState.term, last.term));
  const uncommitted = entries.filter(({ index }) => index > hardState.commit).length;
  const summary = {
    lastIndex: last.index,
    lastTerm: last.term,
    term: highest,
    commit: hardState.commit,
    uncommitted,
    kept: committedOnly ? 0 : uncommitted,
  };
  return { state, term: highest, droppedEntries: committedOnly ? uncommitted : 0, summary };
}

/** Before anything is changed: where the log ends, what is known of each group, what may be lost. */
function tell({ state, summary }: Found, saved: Restored, options: RecoverOptions, cli: Cli): void {
  const say = (text: string): void => cli.note(printable(text));
  const { lastIndex, lastTerm, term: highest, commit, uncommitted } = summary;
  say(
    `${options.witness} of ${options.cluster}: its log ends at index ${lastIndex}, term ${lastTerm}; the highest term that it saw is ${highest}; ` +
      `decided as far as it knows: up to ${commit}`,
  );
  if (uncommitted !== 0) {
    const fate = options.committedOnly ? "dropped (--committed-only)" : "kept";
    say(`${uncommitted} entries after that may have been decided or not; they are ${fate}`);
  }
  if (saved.recovering !== null) {
    const { ackedIndex, reason } = saved.recovering;
    say(`this disk itself has lost what it acknowledged, up to index ${ackedIndex}: ${reason}`);
  }
  for (const { id, ticket, lastEpoch, plan, mode, holdReason } of Object.values(state.groups)) {
    const at =
      ticket.site === null
        ? "no primary yet"
        : `ticket ${ticket.status} by ${ticket.site}, epoch ${ticket.epoch}`;
    const last =
      plan === null
        ? "no plan"
        : `last plan: ${plan.kind} to ${plan.to}, epoch ${plan.epoch}, ${plan.status}`;
    const held = mode === "hold" ? `; on hold: ${holdReason ?? ""}` : "";
    say(
      `group ${id}: ${at}; ${last}; last epoch ${lastEpoch}, becomes ${lastEpoch + options.leaveOutEpochs}${held}`,
    );
  }
  say(
    "lost: whatever the other witnesses decided after the end of this log, though it was acknowledged and carried out",
  );
}

/** The new directory takes the place and the name of the old one. */
async function exchange(data: string, fresh: string, kept: string): Promise<void> {
  const { syncDirectory } = await import("../drivers/storage/files.js");
  try {
    await rename(data, kept);
  } catch (thrown) {
    throw recoveryError(
      "recover_directory",
      `nothing was changed: cannot rename ${basename(data)} to ${basename(kept)} in ${dirname(data)}: ${(thrown as Error).message}; ` +
        "a mount point cannot be renamed: move its content into a directory below it, and name that",
    );
  }
  try {
    await rename(fresh, data);
  } catch (thrown) {
    await rename(kept, data);
    throw recoveryError(
      "recover_directory",
      `nothing was changed: cannot rename ${fresh}: ${(thrown as Error).message}`,
    );
  }
  await syncDirectory(dirname(data));
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
