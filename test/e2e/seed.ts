/**
 * Data directories of witnesses that have lived for a while: each holds a snapshot of one large state and no log
 * before it. The state is made by `apply` from the cluster's own document, and filled with audit records.
 */
import { strict as assert } from "node:assert";
import { logIndex, NO_NODE, nodeId, type Term, term, witnessId } from "../../src/core/base/ids.js";
import { apply } from "../../src/core/model/apply.js";
import { type AuditRecord, EMPTY_STATE, type State } from "../../src/core/model/state.js";
import { loadConfig } from "../../src/drivers/config/config.js";
import { openStorage } from "../../src/drivers/storage/storage.js";
import type { Cluster } from "./cluster.js";
import { WITNESSES } from "./document.js";

export interface Filling {
  readonly records: number;
  /** Of each record, by its detail alone. */
  readonly recordBytes: number;
}

const TERM: Term = term(1);

/** Writes the state into the directories of the first three witnesses, none of which may have run yet. */
export async function seed(cluster: Cluster, filling: Filling): Promise<State> {
  const state = await filledState(cluster, filling);
  for (const id of WITNESSES) {
    const identity = { cluster: state.config?.cluster ?? "", witness: witnessId(id) };
    const { storage } = await openStorage({ directory: cluster.place(id).data, identity });
    await storage.adopt({
      node: nodeId(WITNESSES.indexOf(id) + 1),
      bootstrap: WITNESSES.map((name) => witnessId(name)),
    });
    const { appliedIndex: index } = state;
    await storage.append({
      hardState: { term: TERM, vote: NO_NODE, commit: index },
      entries: [],
      snapshot: {
        index,
        term: TERM,
        confState: {
          voters: WITNESSES.map((_, at) => nodeId(at + 1)),
          learners: [],
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: false,
        },
        data: state,
      },
    });
    await storage.close();
  }
  return state;
}

/** The first document in force, and after it as many records as were asked for. */
async function filledState(cluster: Cluster, { records, recordBytes }: Filling): Promise<State> {
  const loaded = await loadConfig(cluster.configFile);
  assert(loaded.kind === "accepted", "the document of the cluster is in order");
  const { config, hash } = loaded;
  const applied = apply(
    EMPTY_STATE,
    { index: logIndex(1), term: TERM },
    {
      atMs: 1,
      wallMs: Date.now(),
      leader: witnessId(WITNESSES[0]),
      request: null,
      command: { kind: "configure", config, hash },
    },
  );
  assert(applied.accepted, applied.reason);
  const filler = Array.from(
    { length: records },
    (_, at): AuditRecord => ({
      index: logIndex(at + 2),
      seq: 0,
      term: TERM,
      atMs: 1,
      wallMs: Date.now(),
      leader: witnessId(WITNESSES[0]),
      kind: "step_finished",
      group: null,
      epoch: null,
      step: null,
      message: `an old step, number ${at}`,
      // No two alike: a record that got lost on the way, or changed its place, shows.
      detail: [`${at} `.repeat(Math.ceil(recordBytes / `${at} `.length)).slice(0, recordBytes)],
    }),
  );
  const { state } = applied;
  return { ...state, appliedIndex: logIndex(records + 1), history: [...state.history, ...filler] };
}
