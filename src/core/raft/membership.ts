/**
 * Changing the members of a running cluster (dissertation, chapter 4), the part that needs a member's state.
 *
 * A configuration takes effect when its entry is applied, not when it is appended, as in etcd. What makes that
 * safe: at most one change is in the log and not applied at the leader (`admitChanges`), a member that has one
 * committed and not applied does not stand for election (election.ts), and a leader lets a change in only after
 * it applied all that its log held at its election, its own first entry included in what must commit before
 * (`pendingConfIndex`); hence two configurations that may act at once differ by one voter or are joined.
 */
import { NO_NODE } from "../base/ids.js";
import { changed, decodeConfChange, isConfChange } from "./conf-change.js";
import { type Configuration, isJoint } from "./configuration.js";
import type { Member } from "./member.js";
import { NO_BYTES } from "./messages.js";
import { broadcastAppend, maybeCommit, maybeSendAppend } from "./replication.js";
import type { Entry } from "./types.js";

type Proposal = Pick<Entry, "type" | "data">;

/**
 * The proposals as they may enter the log: a change of the configuration that may not be made now is replaced by
 * an empty entry, so that whoever proposed it with others sees those committed (etcd's way). At most one is let in.
 */
export function admitChanges(r: Member, proposals: readonly Proposal[]): readonly Proposal[] {
  let pending = r.pendingConfIndex > r.log.applied;
  return proposals.map((proposal) => {
    if (!isConfChange(proposal.type)) return proposal;
    const refused = changeRefusal(r, proposal, pending) !== null && !r.settings.disableConfChangeValidation;
    if (refused) return { type: "EntryNormal", data: NO_BYTES };
    pending = true;
    return proposal;
  });
}

/** Why a change may not enter the log now, or null. `pending`: another one before it is not applied yet. */
export function changeRefusal(r: Member, proposal: Proposal, pending: boolean): string | null {
  if (pending)
    return `a change of the configuration up to entry ${r.pendingConfIndex} may not be applied yet`;
  const cc = decodeConfChange(proposal);
  if ("error" in cc) return cc.error;
  const { config } = r.tracker;
  const leaves = cc.changes.length === 0;
  if (isJoint(config) && !leaves) return "the joint configuration must be left first";
  if (!isJoint(config) && leaves) return "there is no joint configuration to leave";
  const result = changed(config, cc);
  return "error" in result ? result.error : null;
}

/**
 * The configuration of `entry`, which was just applied, takes effect. A change that cannot be made is noted and
 * left out; since the configuration is a function of the log, every member leaves it out.
 */
export function applyChange(r: Member, entry: Pick<Entry, "type" | "data">): void {
  const cc = decodeConfChange(entry);
  const result = "error" in cc ? cc : changed(r.tracker.config, cc);
  if ("error" in result) {
    r.noteAnomaly(`a committed change of the configuration cannot be made: ${result.error}`);
    return;
  }
  switchConfiguration(r, result);
}

/** `config` is in force from now on. */
export function switchConfiguration(r: Member, config: Configuration): void {
  r.tracker.switchTo(config, r.log.lastIndex);
  if (r.state !== "StateLeader") return;
  if (!r.tracker.isVoter(r.id)) {
    // A leader that is none of the voters any more still has to see its own removal committed; whether it then goes at
    // once is the caller's choice. It takes no proposals, and the next election ends its reign.
    if (r.settings.stepDownOnRemoval) r.becomeFollower(r.term, NO_NODE);
    return;
  }
  // Fewer voters may suffice for what is in the log already (etcd 2902537).
  if (maybeCommit(r)) broadcastAppend(r);
  else for (const id of r.tracker.ids) if (id !== r.id) maybeSendAppend(r, id, false);
  if (r.leadTransferee !== NO_NODE && !r.tracker.isVoter(r.leadTransferee)) r.leadTransferee = NO_NODE;
}

/**
 * The leader leaves a joint configuration by itself, once its entry is applied and no change is under way (etcd
 * bd3c759 proposed it again and again). A new leader takes it up when it has applied its predecessor's entries.
 */
export function leaveJointIfDue(r: Member): void {
  if (r.state !== "StateLeader" || !r.tracker.config.autoLeave) return;
  if (r.log.applied < r.pendingConfIndex || r.leadTransferee !== NO_NODE) return;
  // Refused by the bound on uncommitted bytes? It has none, and is always let in.
  if (r.appendEntries([{ type: "EntryConfChangeV2", data: NO_BYTES }])) broadcastAppend(r);
}
