/**
 * One message in: first the term (paper, section 5.1), then what is common to all roles, then the role's
 * own part.
 */
import { type LogIndex, logIndex, NO_NODE } from "../base/ids.js";
import { answerVote, isSticky } from "./election.js";
import type { Member } from "./member.js";
import { leaveJointIfDue } from "./membership.js";
import {
  entriesSize,
  isResponse,
  isStrayStorageMessage,
  isToSelf,
  malformed,
  payloadsSize,
} from "./messages.js";
import { stepCandidate } from "./step-candidate.js";
import { stepFollower } from "./step-follower.js";
import { stepLeader } from "./step-leader.js";
import type { Message, StepOutcome } from "./types.js";

/**
 * Takes any message whatever from the network or from this member's own storage; never throws because of
 * it.
 */
export function step(r: Member, m: Message): StepOutcome {
  const wrong = malformed(m);
  if (wrong !== null) {
    r.noteAnomaly(wrong);
    return "malformed";
  }
  if (m.to !== r.id || (m.from === r.id && !isToSelf(m.type))) return "foreign";
  if (isStrayStorageMessage(m)) return "stray_local_message";
  if (isResponse(m.type) && r.tracker.progress(m.from) === undefined) return "peer_not_found";

  if (m.term > r.term) {
    if (isSticky(r, m)) return "stepped";
    adoptTerm(r, m);
  } else if (m.term !== 0 && m.term < r.term) {
    onOldTerm(r, m);
    return "stepped";
  }
  return dispatch(r, m);
}

/**
 * A later term: this member's own is over. Pre-votes, asked and granted, speak of a term that has not
 * begun.
 */
function adoptTerm(r: Member, m: Message): void {
  if (m.type === "MsgPreVote" || (m.type === "MsgPreVoteResp" && !m.reject)) return;
  const fromLeader = m.type === "MsgApp" || m.type === "MsgHeartbeat" || m.type === "MsgSnap";
  r.becomeFollower(m.term, fromLeader ? m.from : NO_NODE);
}

function onOldTerm(r: Member, m: Message): void {
  const { checkQuorum, preVote } = r.settings;
  if ((checkQuorum || preVote) && (m.type === "MsgHeartbeat" || m.type === "MsgApp")) {
    // A leader of an older term, which stickiness and pre-vote keep from ever hearing a vote request of
    // ours. Without this answer a member whose term ran ahead would stay cut off for ever.
    r.sendAppResp({ to: m.from });
  } else if (m.type === "MsgPreVote") {
    // So that a pre-candidate that is behind learns the term (mixed versions could block one another
    // otherwise).
    r.send({ type: "MsgPreVoteResp", to: m.from, term: r.term, reject: true });
  } else if (m.type === "MsgStorageAppendResp" && m.snapshot !== null) {
    // Entries of an old term may have been overwritten since; a snapshot, which is committed, cannot.
    onSnapshotStored(r, m.snapshot.index);
  }
  // All else is dropped.
}

function dispatch(r: Member, m: Message): StepOutcome {
  switch (m.type) {
    case "MsgVote":
    case "MsgPreVote":
      answerVote(r, m);
      return "stepped";
    case "MsgStorageAppendResp":
      if (m.index !== 0) r.log.stableTo({ index: m.index, term: m.logTerm });
      if (m.snapshot !== null) onSnapshotStored(r, m.snapshot.index);
      return "stepped";
    case "MsgStorageApplyResp":
      onApplied(r, m);
      return "stepped";
    default:
      if (r.state === "StateLeader") return stepLeader(r, m);
      if (r.state === "StateFollower") return stepFollower(r, m);
      return stepCandidate(r, m);
  }
}

function onApplied(r: Member, m: Message): void {
  const last = m.entries.at(-1);
  if (last === undefined || last.index < r.log.applied) return;
  if (last.index > r.log.applying) {
    r.noteAnomaly(`MsgStorageApplyResp for ${last.index}, but only ${r.log.applying} was handed out`);
    return;
  }
  r.uncommittedBytes = Math.max(0, r.uncommittedBytes - payloadsSize(m.entries));
  applied(r, last.index, entriesSize(m.entries));
}

/** A received snapshot is durable: it is the state now. */
function onSnapshotStored(r: Member, index: LogIndex): void {
  if (r.log.stableSnapshotTo(index)) applied(r, logIndex(Math.max(index, r.log.applied)), 0);
}

function applied(r: Member, index: LogIndex, bytes: number): void {
  r.log.appliedTo(index, bytes);
  leaveJointIfDue(r);
}
