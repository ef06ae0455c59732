/**
 * What a leader does with a message of its own term.
 */
import { logIndex, NO_NODE } from "../base/ids.js";
import type { Member } from "./member.js";
import { admitChanges } from "./membership.js";
import { ZERO_INDEX } from "./messages.js";
import type { Progress } from "./progress.js";
import { sequenceOf } from "./read-only.js";
import { answerRead, leaderRead, releaseEarlyReads } from "./reads.js";
import { broadcastAppend, maybeCommit, maybeSendAppend, sendAppend } from "./replication.js";
import { sendTimeoutNow, startTransfer } from "./transfer.js";
import type { Message, StepOutcome } from "./types.js";

/** A message of this term, at the leader. */
export function stepLeader(r: Member, m: Message): StepOutcome {
  if (m.type === "MsgProp") return onProposal(r, m);
  if (m.type === "MsgReadIndex") {
    leaderRead(r, m);
    return "stepped";
  }
  const progress = r.tracker.progress(m.from);
  if (progress === undefined) return "stepped";
  if (m.type === "MsgAppResp") {
    progress.recentActive = true;
    progress.recovering = m.recovering;
    if (m.index > r.log.lastIndex) {
      r.noteAnomaly(`MsgAppResp from ${m.from} for ${m.index}, past the last entry ${r.log.lastIndex}`);
    } else if (m.reject) onRejection(r, m, progress);
    else onAcknowledgement(r, m, progress);
  }
  if (m.type === "MsgHeartbeatResp") onHeartbeatResp(r, m, progress);
  if (m.type === "MsgSnapStatus") onSnapshotStatus(m, progress);
  if (m.type === "MsgTransferLeader") startTransfer(r, m.from, progress);
  return "stepped";
}

function onProposal(r: Member, m: Message): StepOutcome {
  if (r.leadTransferee !== NO_NODE || r.tracker.progress(r.id) === undefined) return "proposal_dropped";
  if (!r.appendEntries(admitChanges(r, m.entries))) return "proposal_dropped";
  broadcastAppend(r);
  return "stepped";
}

/**
 * The peer's log does not hold the entry before what was sent. It names the last entry that can still
 * agree, with its term; ours, of that term or less at or before that index, is the next place to try. So
 * each round skips a whole term, not an entry.
 */
function onRejection(r: Member, m: Message, progress: Progress): void {
  const capped = logIndex(Math.min(m.rejectHint, r.log.lastIndex));
  // Term 0: the peer does not know the term there, so its index is all there is to go by.
  const hint = m.logTerm > 0 ? r.log.findConflictByTerm(capped, m.logTerm).index : capped;
  if (m.recovering && m.index <= progress.match) {
    progress.believeLoss(hint);
    sendAppend(r, m.from);
  } else if (progress.maybeDecrease(m.index, hint)) {
    if (progress.state === "StateReplicate") progress.becomeProbe();
    sendAppend(r, m.from);
  }
}

function onAcknowledgement(r: Member, m: Message, progress: Progress): void {
  // A probed peer that is caught up acknowledges nothing new, and must still leave the probing state (etcd
  // #10308).
  const probed = progress.state === "StateProbe" && progress.match === m.index;
  if (!progress.maybeUpdate(m.index) && !probed) return;
  if (progress.state === "StateProbe") progress.becomeReplicate();
  else if (progress.state === "StateReplicate") progress.inflights.freeUpTo(m.index);
  else if (progress.match + 1 >= r.log.firstIndex) {
    // The log reaches back to the peer's again, whether by this snapshot or by another way.
    progress.becomeReplicate();
  }

  const peer = m.from !== r.id;
  if (maybeCommit(r)) {
    releaseEarlyReads(r);
    broadcastAppend(r);
  } else if (peer && progress.canBumpCommit(r.log.committed)) {
    sendAppend(r, m.from);
  }
  // The window may have room for several appends now.
  while (peer && maybeSendAppend(r, m.from, false)) {}
  if (m.from === r.leadTransferee && progress.match === r.log.lastIndex) sendTimeoutNow(r);
}

function onHeartbeatResp(r: Member, m: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.recovering = m.recovering;
  // It answers, so what was out may be asked for again.
  progress.flowPaused = false;
  if (progress.match < r.log.lastIndex || progress.state === "StateProbe") sendAppend(r, m.from);
  const sequence = sequenceOf(m.context);
  if (sequence !== null) r.lease?.onEcho(m.from, sequence);
  for (const read of r.reads.onEcho(m.from, m.context, r.tracker.config)) answerRead(r, read);
}

/**
 * The caller's word on a snapshot that it was to deliver. Delivered or not, the peer is probed: its answer tells
 * where it stands. The probe waits for that answer or a heartbeat's, so as not to ask before the snapshot is in.
 */
function onSnapshotStatus(m: Message, progress: Progress): void {
  if (progress.state !== "StateSnapshot") return;
  if (m.reject) progress.pendingSnapshot = ZERO_INDEX;
  progress.becomeProbe();
  progress.flowPaused = true;
}
