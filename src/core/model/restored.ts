/**
 * The state of a backup as the first state of a cluster that is started anew from it.
 *
 * What was decided stays: tickets, epochs, holds, plans, history, sessions. Who takes part is new: the witnesses
 * of the document that the new cluster is started with, in its order, as nodes 1, 2, … on disks of their own;
 * what the old ones saw counts for nothing.
 */
import { nodeId } from "../base/ids.js";
import type { ClusterConfig } from "./config.js";
import type { Member } from "./members.js";
import type { State, WitnessRecord } from "./state.js";

/** The state with the witnesses of `config` as its members; the same for all of them. */
export function restoredState(state: State, config: ClusterConfig): State {
  const { cluster, witnesses } = config;
  const sinceMs = state.clusterTimeMs;
  const records: Record<string, WitnessRecord> = {};
  for (const { id } of witnesses)
    records[id] = { witness: id, stale: true, abstaining: false, sinceMs, observations: {} };
  const members = witnesses.map(
    ({ id, site, peers, admin, dns }, at): Member => ({
      witness: id,
      node: nodeId(at + 1),
      site,
      peers,
      admin,
      dns,
      role: "voter",
      disk: null,
      replaces: null,
      inDocument: true,
      sinceMs,
    }),
  );
  return {
    ...state,
    config: state.config === null ? null : { ...state.config, cluster, witnesses },
    // No file says what this one says, until the first leader replicates its own of a higher version.
    configHash: `restored-${state.appliedIndex}`,
    witnesses: records,
    members,
    nextNode: nodeId(witnesses.length + 1),
  };
}
