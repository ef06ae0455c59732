/**
 * What a candidate or pre-candidate does with a message of its own term (for answers to a pre-vote: of the
 * term it asked for).
 */
import { NO_NODE } from "../base/ids.js";
import { campaign } from "./election.js";
import type { Member } from "./member.js";
import { NO_BYTES } from "./messages.js";
import { broadcastAppend } from "./replication.js";
import { handleSnapshot } from "./snapshot.js";
import { handleAppend, handleHeartbeat } from "./step-follower.js";
import type { Message, StepOutcome } from "./types.js";

/** A message of this term, at a candidate. */
export function stepCandidate(r: Member, m: Message): StepOutcome {
  switch (m.type) {
    case "MsgProp":
      return "proposal_dropped";
    case "MsgApp":
      r.becomeFollower(m.term, m.from);
      handleAppend(r, m);
      return "stepped";
    case "MsgHeartbeat":
      r.becomeFollower(m.term, m.from);
      handleHeartbeat(r, m);
      return "stepped";
    case "MsgSnap":
      r.becomeFollower(m.term, m.from);
      handleSnapshot(r, m);
      return "stepped";
    case "MsgVoteResp":
      if (r.state === "StateCandidate") onVote(r, m);
      return "stepped";
    case "MsgPreVoteResp":
      if (r.state === "StatePreCandidate" && (m.reject || m.term === r.term + 1)) onVote(r, m);
      return "stepped";
    default:
      return "stepped";
  }
}

function onVote(r: Member, m: Message): void {
  r.tracker.recordVote(m.from, !m.reject);
  const result = r.tracker.voteResult();
  if (result === "VoteLost") r.becomeFollower(r.term, NO_NODE);
  if (result !== "VoteWon") return;
  if (r.state === "StatePreCandidate") {
    campaign(r, "election");
    return;
  }
  r.becomeLeader();
  const accepted = r.appendEntries([{ type: "EntryNormal", data: NO_BYTES }]);
  if (accepted) broadcastAppend(r);
}
