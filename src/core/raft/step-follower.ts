/**
 * What a follower does with a message of its own term; and the receiving side of appends and heartbeats,
 * which candidates share.
 */
import { logIndex, NO_NODE } from "../base/ids.js";
import { hup } from "./election.js";
import type { Member } from "./member.js";
import { forwardRead } from "./reads.js";
import { believableCommit } from "./recovery.js";
import { handleSnapshot } from "./snapshot.js";
import type { Message, StepOutcome } from "./types.js";

/** A message of this term, at a follower. */
export function stepFollower(r: Member, m: Message): StepOutcome {
  switch (m.type) {
    case "MsgApp":
    case "MsgHeartbeat":
    case "MsgSnap":
      onLeaderMessage(r, m);
      return "stepped";
    case "MsgProp":
      if (r.lead === NO_NODE) return "proposal_dropped";
      r.send({ type: "MsgProp", from: m.from, to: r.lead, entries: m.entries });
      return "stepped";
    case "MsgReadIndex":
      forwardRead(r, m);
      return "stepped";
    case "MsgReadIndexResp":
      r.readStates.push({ index: m.index, context: m.context });
      return "stepped";
    case "MsgTransferLeader":
      if (r.lead !== NO_NODE) r.send({ type: "MsgTransferLeader", from: m.from, to: r.lead });
      return "stepped";
    case "MsgForgetLeader":
      // With lease reads a leader may be answering on the strength of this very follower's stickiness.
      if (r.settings.readOnlyOption !== "lease-based") r.lead = NO_NODE;
      return "stepped";
    case "MsgTimeoutNow":
      // No pre-vote: the leader itself asks, so nobody is returning from a partition.
      hup(r, "transfer");
      return "stepped";
    default:
      return "stepped";
  }
}

function onLeaderMessage(r: Member, m: Message): void {
  if (r.lead !== NO_NODE && r.lead !== m.from) {
    r.noteAnomaly(
      `${m.type} from ${m.from} at term ${m.term}, whose leader is ${r.lead}: two leaders in one term`,
    );
    return;
  }
  r.electionElapsed = 0;
  r.lead = m.from;
  if (m.type === "MsgApp") handleAppend(r, m);
  else if (m.type === "MsgHeartbeat") handleHeartbeat(r, m);
  else handleSnapshot(r, m);
}

/** Takes a leader's append, or says where the logs part. */
export function handleAppend(r: Member, m: Message): void {
  const { committed } = r.log;
  const clash = r.log.committedConflict({ index: m.index, term: m.logTerm }, m.entries);
  if (clash !== null) {
    // No answer: what it would acknowledge is not what the leader has there.
    r.noteAnomaly(
      `${m.type} from ${m.from} at term ${m.term} contradicts entry ${clash}, which is committed here: a member lost its disk, or took another's`,
    );
    return;
  }
  if (m.index < committed) {
    // Late or doubled. What is committed agrees with every leader's log; a rejection would only make it
    // send again (etcd 8e6b989).
    r.sendAppResp({ to: m.from, index: committed });
    return;
  }
  const result = r.log.maybeAppend({ index: m.index, term: m.logTerm }, m.entries, m.commit);
  if (result.kind === "appended") {
    r.verifiedIndex = logIndex(Math.max(r.verifiedIndex, result.lastIndex));
    r.leaveRecoveryWhenCovered();
    r.sendAppResp({ to: m.from, index: result.lastIndex });
    return;
  }
  reject(r, m, r.log.findConflictByTerm(logIndex(Math.min(m.index, r.log.lastIndex)), m.logTerm));
}

/**
 * Rejects an append after `m.index`; `hint` is the last entry here that can still agree with a log that has
 * `m.logTerm` there.
 */
function reject(r: Member, m: Message, hint: ReturnType<Member["log"]["last"]>): void {
  r.sendAppResp({
    to: m.from,
    index: m.index,
    reject: true,
    rejectHint: hint.index,
    logTerm: hint.term,
  });
}

/**
 * Takes a leader's heartbeat: its commit index, as far as this log is known to agree, and the read that it
 * asks to confirm.
 */
export function handleHeartbeat(r: Member, m: Message): void {
  const { lastIndex } = r.log;
  if (m.commit > lastIndex && r.recovering === null) {
    // The leader counts on entries that are not here. Storage lost them without noticing; how many, nobody
    // knows.
    r.noteAnomaly(
      `MsgHeartbeat from ${m.from}: commit ${m.commit} past last entry ${lastIndex}: durable log was lost unseen`,
    );
    r.recovering = { ackedIndex: logIndex(Number.MAX_SAFE_INTEGER), term: r.term };
  }
  const believed = believableCommit(m.commit, r.recovering, r.verifiedIndex);
  r.log.commitTo(logIndex(Math.min(believed, lastIndex)));
  r.leaveRecoveryWhenCovered();
  const recovering = r.recovering !== null;
  r.send({ type: "MsgHeartbeatResp", to: m.from, context: m.context, recovering });
  if (recovering && m.commit > r.verifiedIndex) {
    // The leader's idea of this log is from before the loss, and in a quiet cluster no append would put it
    // right.
    const index = logIndex(Math.min(m.commit, lastIndex));
    const term = r.log.term(index) ?? r.term;
    r.sendAppResp({ to: m.from, index: m.commit, reject: true, rejectHint: index, logTerm: term });
  }
}
