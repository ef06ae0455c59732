/**
 * What in a status report should worry somebody: whole cluster first, then each group. Pure; the words name the remedy.
 */
import type { GroupReport, StatusReport } from "../core/model/admin.js";
import { memberWarnings } from "./render-members.js";
import { listed, span } from "./render-words.js";

/** Contact with the leader older than this makes the whole report doubtful. Unit: ms. */
const CONTACT_OLD_MS = 5_000;
/** Committed and not yet applied: a witness that is this far behind shows the past. */
const APPLY_LAG = 100;

/** Warnings about the cluster and the answering witness. */
export function clusterWarnings(status: StatusReport): string[] {
  const { raft, witness } = status;
  const warnings: string[] = [];
  const heard =
    status.leaderContactAgeMs === null
      ? "never heard of one"
      : `last heard of one ${span(status.leaderContactAgeMs)} ago`;
  if (raft.leader === null) {
    warnings.push(
      `no leader is known to ${witness} (${heard}): nothing can be decided, and all below is from then; are most witnesses running and connected?`,
    );
  } else if (status.leaderContactAgeMs !== null && status.leaderContactAgeMs > CONTACT_OLD_MS) {
    warnings.push(
      `${witness} last heard of the leader ${span(status.leaderContactAgeMs)} ago: this report may be old; ask another witness`,
    );
  }
  if (raft.recovering) {
    warnings.push(
      `${witness} lost durable log and rebuilds it: it does not vote until then; look at its disk`,
    );
  }
  if (raft.disk.stalledMs !== null) {
    warnings.push(
      `the disk of ${witness} has not finished a write for ${span(raft.disk.stalledMs)}: it neither votes nor acknowledges, and hands over if it leads; look at its disk`,
    );
  }
  if (raft.commit - raft.applied > APPLY_LAG) {
    warnings.push(
      `${witness} has applied only up to ${raft.applied} of ${raft.commit} decided entries: this report shows the past`,
    );
  }
  if (status.configVersion === null) {
    warnings.push("no configuration is replicated yet: the first leader does that");
  } else if (status.configDiffers) {
    warnings.push(
      `the configuration file of ${witness} differs from the replicated version ${status.configVersion}: raise "version" in the new file, or bring back the old one; after a change of members, list the witnesses as \`pointsman members\` shows them and raise "version"`,
    );
  }
  warnings.push(...memberWarnings(status.members, status.clusterTimeMs));
  for (const record of status.witnesses) {
    const age = span(status.clusterTimeMs - record.sinceMs);
    if (record.stale) {
      warnings.push(
        `${record.witness} is stale for ${age}: nothing was heard of it, all that it sees counts as unknown`,
      );
    } else if (record.abstaining) {
      warnings.push(
        `${record.witness} abstains for ${age}: it was stopped for a while and distrusts its own view`,
      );
    }
  }
  for (const { witness: peer, slowMs } of raft.peers) {
    if (slowMs !== null)
      warnings.push(`${peer} answers, but has written nothing for ${span(slowMs)}: look at its disk`);
  }
  const silent = raft.peers
    .filter((peer) => (!peer.active || peer.silentMs !== null) && peer.witness !== witness)
    .map((peer) => (peer.silentMs === null ? peer.witness : `${peer.witness} for ${span(peer.silentMs)}`));
  if (silent.length > 0) warnings.push(`the leader hears nothing of ${listed(silent)}`);
  return warnings;
}

/** Warnings about one group, beside its standing, which has a line of its own. */
export function groupWarnings(report: GroupReport): string[] {
  const { group } = report;
  const warnings: string[] = [];
  if (group.mode === "hold") {
    warnings.push(`on hold, nothing is decided automatically: ${group.holdReason ?? "no reason was kept"}`);
  }
  if (group.ticket.status === "revoked") {
    warnings.push(
      `no site is primary: the ticket was taken from ${group.ticket.site ?? "nobody"} and is not granted yet`,
    );
  }
  const { routed, ticket } = group;
  if (ticket.status === "held" && routed !== null && routed.site !== ticket.site) {
    warnings.push(
      `the names still point at ${routed.site} (epoch ${routed.epoch}), not at the primary ${ticket.site}`,
    );
  }
  if (group.failedSites.length > 0) {
    warnings.push(
      `${listed(group.failedSites)} failed to take over and is passed over until: pointsman resume ${group.id}`,
    );
  }
  return warnings;
}
