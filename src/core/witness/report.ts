/**
 * What a witness says when asked: status and explanations, as pure functions of its applied state.
 */
import type { NodeId, WitnessId } from "../base/ids.js";
import { judgeGroup } from "../health/health.js";
import type { Explanation, GroupReport, StatusReport } from "../model/admin.js";
import { type ClusterConfig, findGroup, type GroupConfig } from "../model/config.js";
import type { GroupState, State } from "../model/state.js";
import { explainMissing, standing } from "../policy/policy.js";
import type { Pace } from "./paces.js";
import type { Replica } from "./replica.js";

/** How many audit records an explanation quotes. */
const RECENT_MAX = 20;

/** One group as it stands at cluster time `nowMs`. */
function groupReport(
  state: State,
  config: ClusterConfig,
  group: GroupConfig,
  current: GroupState,
  nowMs: number,
): GroupReport {
  const verdicts = judgeGroup(config, group, state.witnesses);
  return {
    group: current,
    sites: verdicts,
    fence: group.fence.kind,
    standing: standing({ config, group, state: current, verdicts, nowMs }),
  };
}

/** All groups in the order of the document; none before a document is replicated. */
function groupReports(state: State, nowMs: number): GroupReport[] {
  const { config } = state;
  if (config === null) return [];
  return config.groups.flatMap((group) => {
    const current = state.groups[group.id];
    return current === undefined ? [] : [groupReport(state, config, group, current, nowMs)];
  });
}

/** Why `groupId` moves or stays, or null when there is no such group. */
export function explain(state: State, groupId: string, nowMs: number): Explanation | null {
  const { config } = state;
  const group = config === null ? undefined : findGroup(config, groupId);
  const current = state.groups[groupId];
  if (config === null || group === undefined || current === undefined) return null;
  const report = groupReport(state, config, group, current, nowMs);
  return {
    group: groupId,
    report,
    recent: state.history
      .filter((record) => record.group === groupId || record.group === null)
      .slice(-RECENT_MAX),
    missing: explainMissing({ config, group, state: current, verdicts: report.sites, nowMs }),
    asOfIndex: state.appliedIndex,
  };
}

/** The whole status of one witness. */
export function statusReport(input: {
  readonly self: WitnessId;
  readonly own: { readonly config: ClusterConfig; readonly hash: string };
  readonly replica: Replica;
  readonly leaderContactAgeMs: number | null;
  /** Leader only: what is unusual about a peer. */
  readonly paceOf: (node: NodeId) => Pace;
  readonly nowMs: number;
}): StatusReport {
  const { replica, own } = input;
  const { state } = replica;
  const raft = replica.status();
  const stalledTicks = replica.storageStalledTicks;
  return {
    cluster: own.config.cluster,
    witness: input.self,
    raft: {
      term: raft.term,
      leader: replica.witnessOf(raft.lead),
      role: ROLES[raft.state],
      commit: raft.commit,
      applied: state.appliedIndex,
      lastIndex: raft.lastIndex,
      recovering: raft.recovering !== null,
      disk: { stalledMs: stalledTicks === null ? null : stalledTicks * own.config.timings.tickMs },
      peers: raft.progress.flatMap((peer) => {
        const witness = replica.witnessOf(peer.id);
        return witness === null || witness === input.self
          ? []
          : [
              {
                witness,
                match: peer.match,
                active: peer.active,
                state: peer.state,
                ...input.paceOf(peer.id),
              },
            ];
      }),
    },
    leaderContactAgeMs: input.leaderContactAgeMs,
    clusterTimeMs: input.nowMs,
    configVersion: state.config?.version ?? null,
    configDiffers: state.config !== null && state.configHash !== own.hash,
    witnesses: Object.values(state.witnesses),
    members: state.members.map((member) => ({ member, progress: null })),
    groups: groupReports(state, input.nowMs),
  };
}

/** Raft's state names in words for people. */
export const ROLES = {
  StateFollower: "follower",
  StatePreCandidate: "pre-candidate",
  StateCandidate: "candidate",
  StateLeader: "leader",
} as const;
