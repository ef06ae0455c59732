/**
 * The passing of time, in ticks: election timeouts, heartbeats, and the leader's check that a quorum still
 * answers.
 */
import { NO_NODE } from "../base/ids.js";
import { hup } from "./election.js";
import type { Member } from "./member.js";
import { leaveJointIfDue } from "./membership.js";
import { broadcastHeartbeat } from "./replication.js";
import { startTransfer } from "./transfer.js";

/** One tick. */
export function tick(r: Member): void {
  if (r.quietTicks > 0) r.quietTicks--;
  if (r.state === "StateLeader") tickLeader(r);
  else tickOthers(r);
}

function tickOthers(r: Member): void {
  r.electionElapsed++;
  if (!r.promotable || r.electionElapsed < r.randomizedElectionTimeout) return;
  r.electionElapsed = 0;
  hup(r, r.settings.preVote ? "pre-election" : "election");
}

function tickLeader(r: Member): void {
  r.lease?.tick();
  r.heartbeatElapsed++;
  r.electionElapsed++;
  if (r.electionElapsed >= r.settings.electionTick) {
    r.electionElapsed = 0;
    if (r.settings.checkQuorum) checkQuorum(r);
    // A transfer that did not succeed within an election timeout is given up, and proposals are taken again.
    r.leadTransferee = NO_NODE;
    // What a transfer or a full log kept from being proposed when it was due.
    leaveJointIfDue(r);
  }
  if (r.state === "StateLeader" && r.storageStalled) handOver(r);
  if (r.state !== "StateLeader" || r.heartbeatElapsed < r.settings.heartbeatTick) return;
  r.heartbeatElapsed = 0;
  broadcastHeartbeat(r);
}

/**
 * A leader that no quorum answers steps down: it could commit nothing, and others may have elected a better
 * one.
 */
function checkQuorum(r: Member): void {
  const active = r.tracker.quorumActive();
  if (!active) r.becomeFollower(r.term, NO_NODE);
  r.tracker.resetActive(r.id);
}

/**
 * A leader whose storage stands still makes room for one whose does not: what it has sent, others have written. To
 * the most complete of those that answer; none: it reigns on, for nobody else would do better.
 */
function handOver(r: Member): void {
  if (r.leadTransferee !== NO_NODE) return;
  const candidates = r.tracker.voters.flatMap((id) => {
    const progress = r.tracker.progress(id);
    const fit = progress !== undefined && (progress.recentActive || progress.formerlyActive);
    return fit && id !== r.id && !progress.recovering ? [{ id, progress }] : [];
  });
  const best = candidates.sort((a, b) => b.progress.match - a.progress.match || a.id - b.id)[0];
  if (best !== undefined) startTransfer(r, best.id, best.progress);
}
