/**
 * The leader's side of log replication (paper, section 5.3) and the commit rule (section 5.4.2).
 *
 * Appends are pipelined to peers whose log is known to match and sent one at a time to the others. Commit
 * news rides on appends, and on heartbeats no further than what the peer has acknowledged, since a
 * heartbeat proves nothing about its log.
 */
import { assert } from "../base/assert.js";
import { type LogIndex, logIndex, type NodeId } from "../base/ids.js";
import { fromConfState, memberIds } from "./configuration.js";
import type { Member } from "./member.js";
import { entriesSize, NO_BYTES } from "./messages.js";
import type { Progress } from "./progress.js";

/** Sends an append, an empty one too if there is nothing new; nothing while the peer's flow is paused. */
export function sendAppend(r: Member, to: NodeId): void {
  maybeSendAppend(r, to, true);
}

/**
 * Sends an append to `to` unless its flow is paused, or there are no entries and `evenIfEmpty` is false.
 * True when one was sent.
 */
export function maybeSendAppend(r: Member, to: NodeId, evenIfEmpty: boolean): boolean {
  const progress = r.tracker.progress(to);
  if (progress === undefined || progress.paused) return false;
  const index = logIndex(progress.next - 1);
  const logTerm = r.log.term(index);
  if (logTerm === null) return maybeSendSnapshot(r, to, progress);
  // With a full window only empty appends go out: should the whole window be lost, the answer to one of
  // them restarts the flow.
  const full = progress.state === "StateReplicate" && progress.inflights.full;
  const entries =
    full || progress.next > r.log.lastIndex ? [] : r.log.entriesFrom(progress.next, r.settings.maxSizePerMsg);
  if (entries.length === 0 && !evenIfEmpty) return false;
  r.send({ type: "MsgApp", to, index, logTerm, entries, commit: r.log.committed });
  progress.sentEntries(entries.length, entriesSize(entries));
  progress.sentCommit = r.log.committed;
  return true;
}

/**
 * The peer needs entries that this log no longer holds: it gets the state instead, if there is one to give that
 * reaches far enough and knows the peer as a member (it would be refused otherwise, again and again), and if the
 * peer was heard from (to a silent one it would be sent for nothing). True when it was sent.
 */
function maybeSendSnapshot(r: Member, to: NodeId, progress: Progress): boolean {
  const { snapshot } = r;
  if (!progress.recentActive || snapshot === null || snapshot.index < r.log.base.index) return false;
  if (!memberIds(fromConfState(snapshot.confState)).includes(to)) return false;
  r.send({ type: "MsgSnap", to, snapshot });
  progress.becomeSnapshot(snapshot.index);
  return true;
}

/** Sends an append to every other member. */
export function broadcastAppend(r: Member): void {
  for (const id of r.tracker.ids) if (id !== r.id) sendAppend(r, id);
}

/** Sends a heartbeat to every other member, carrying the newest read that waits for confirmation. */
export function broadcastHeartbeat(r: Member): void {
  if (r.lease !== null) r.lease.onSent(r.reads.nextSequence());
  const context = r.reads.heartbeatContext(r.lease !== null);
  for (const id of r.tracker.ids) if (id !== r.id) sendHeartbeat(r, id, context);
}

function sendHeartbeat(r: Member, to: NodeId, context: Uint8Array): void {
  const progress = r.tracker.progress(to);
  assert(progress !== undefined, () => `heartbeat to ${to}, which is no member`);
  // Never past what the peer acknowledged: what follows in its log may be another leader's (etcd
  // sendHeartbeat).
  const commit = logIndex(Math.min(progress.match, r.log.committed));
  // Each recipient gets its own bytes: a message is never shared.
  r.send({ type: "MsgHeartbeat", to, commit, context: context.length === 0 ? NO_BYTES : context.slice() });
  progress.sentCommit = commit;
}

/**
 * Commits what a quorum has acknowledged, if it is of this term; true when that moved the commit index. An
 * entry of an older term is never committed by counting: figure 8 of the paper shows it overwritten
 * afterwards. It is committed by the first entry of this term above it, and there is always one, since a
 * leader begins its term with an empty entry.
 */
export function maybeCommit(r: Member): boolean {
  const counted = r.tracker.committed();
  assert(Number.isFinite(counted), "a cluster that has a leader has voters");
  const index: LogIndex = logIndex(counted);
  if (index <= r.log.committed || r.log.term(index) !== r.term) return false;
  r.log.commitTo(index);
  return true;
}
