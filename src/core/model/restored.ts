/**
 * A state that was saved as the first state of a cluster that is started anew: from a backup, or from the log of the
 * one witness that is left.
 *
 * What was decided stays: tickets, epochs, holds, history, sessions. Who takes part is new: the witnesses of the
 * document that the new cluster is started with, on disks of their own; what the old ones saw counts for nothing.
 *
 * The old cluster may have decided more than is known here, and carried it out. So nothing moves by itself until a
 * person has looked: every group is on hold, and a plan that was under way, or a rollback that was owed, is closed as
 * failed with the ticket as it stands (a resume decides anew from there). And every group leaves epochs out, more than
 * can have been used meanwhile: an epoch is used by one plan only, and the targets that compare epochs take the next.
 * Who did it and when are arguments, because all members of the new cluster must make the same state to the byte.
 */
import {
  type Epoch,
  epoch,
  type LogIndex,
  logIndex,
  type NodeId,
  type Term,
  type WitnessId,
} from "../base/ids.js";
import type { Told } from "./change.js";
import type { ClusterConfig } from "./config.js";
import { rollbackOwed, runningPlan } from "./group.js";
import type { Member } from "./members.js";
import {
  type AuditRecord,
  type GroupState,
  HISTORY_MAX,
  type Plan,
  type State,
  type WitnessRecord,
} from "./state.js";

/** So many epochs every group leaves out, unless told otherwise. */
export const EPOCHS_LEFT_OUT = 1000;

/** What the new cluster begins with. */
export interface Restoring {
  readonly config: ClusterConfig;
  /** The node of each witness of `config`, in its order. */
  readonly nodes: readonly NodeId[];
  /** Above every node that was ever given. */
  readonly nextNode: NodeId;
  /** Where the restoring itself stands in the log; above all that the state holds. */
  readonly index: LogIndex;
  readonly term: Term;
  readonly by: WitnessId;
  readonly wallMs: number;
  readonly epochsLeftOut: number;
  /** What happened, in words that fit behind "on hold:". */
  readonly what: string;
}

/**
 * So many places of the log are left out: more than the old cluster can have filled meanwhile. A place names one entry
 * only, for whoever resumes a watch there; and the disk of an old member that is taken for an empty one is behind the
 * first snapshot in any case, and takes it, instead of vouching for entries of its own.
 */
export const PLACES_LEFT_OUT = 1_000_000;

/** The restoring's own place in the log: far after the last that the state holds. */
export function placeAfter(state: State): LogIndex {
  return logIndex(state.appliedIndex + PLACES_LEFT_OUT);
}

/** The state with the witnesses of `restoring.config` as its members, every group on hold, and the records of it. */
export function restoredState(state: State, restoring: Restoring): State {
  const { config, index, term } = restoring;
  const { cluster, witnesses } = config;
  const sinceMs = state.clusterTimeMs;
  const records: Record<string, WitnessRecord> = {};
  for (const { id } of witnesses)
    records[id] = { witness: id, stale: true, abstaining: false, sinceMs, observations: {} };
  const members = witnesses.map(
    ({ id, site, peers, admin, dns }, at): Member => ({
      witness: id,
      node: restoring.nodes[at] ?? restoring.nextNode,
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
  const groups: Record<string, GroupState> = {};
  const told: Told[] = [
    {
      kind: "note",
      group: null,
      epoch: null,
      step: null,
      message: `the cluster begins anew: ${restoring.what}`,
      detail: members.map(({ witness, node }) => `${witness} is node ${node}`),
    },
  ];
  for (const [id, group] of Object.entries(state.groups)) {
    const after = groupAfter(group, restoring, sinceMs);
    groups[id] = after.group;
    told.push(...after.told);
  }
  const history = told.map(
    (record, seq): AuditRecord => ({
      index,
      seq,
      term,
      atMs: sinceMs,
      wallMs: restoring.wallMs,
      leader: restoring.by,
      ...record,
    }),
  );
  return {
    ...state,
    appliedIndex: index,
    appliedTerm: term,
    config: state.config === null ? null : { ...state.config, cluster, witnesses },
    // No file says what this one says, until the first leader replicates its own of a higher version.
    configHash: `restored-${index}`,
    witnesses: records,
    members: [...members].sort((one, other) => one.node - other.node),
    nextNode: restoring.nextNode,
    groups,
    history: [...state.history, ...history].slice(-HISTORY_MAX),
  };
}

function groupAfter(
  group: GroupState,
  { what, epochsLeftOut }: Restoring,
  nowMs: number,
): { readonly group: GroupState; readonly told: readonly Told[] } {
  const lastEpoch = epoch(group.lastEpoch + epochsLeftOut);
  const before =
    group.mode === "hold" && group.holdReason !== null ? ` (held before by ${group.holdReason})` : "";
  const holdReason = `${what}; compare the ticket with what serves, then resume${before}`;
  const plan = closedPlan(group, what, nowMs);
  const told = (kind: Told["kind"], at: Epoch | null, message: string): Told => ({
    kind,
    group: group.id,
    epoch: at,
    step: null,
    message,
    detail: [],
  });
  const closed =
    plan === null || plan === group.plan
      ? []
      : [
          told(
            "plan_failed",
            plan.epoch,
            `${plan.kind} of ${group.id} to ${plan.to} (epoch ${plan.epoch}) failed: ${plan.endReason}`,
          ),
        ];
  const left = `epochs up to ${lastEpoch} are left out`;
  return {
    group: { ...group, mode: "hold", holdReason, lastEpoch, plan },
    told: [...closed, told("hold", null, `${group.id} is on hold: ${holdReason}; ${left}`)],
  };
}

/** The last plan, at its end in any case: whoever carried it out is gone, and a rollback would not ask for the hold. */
function closedPlan(group: GroupState, what: string, nowMs: number): Plan | null {
  const { plan } = group;
  const running = runningPlan(group);
  if (plan === null || (running === null && rollbackOwed(group) === null)) return plan;
  const endReason =
    running === null ? `the rollback that it owed is called off: ${what}` : `cut short: ${what}`;
  return { ...plan, status: "failed", endedAtMs: plan.endedAtMs ?? nowMs, endReason };
}
