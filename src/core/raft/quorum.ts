/**
 * Quorum arithmetic, for a majority and for a joint configuration (paper, section 6; dissertation, section
 * 4.3).
 *
 * A joint configuration has two halves, and whatever is decided is decided by a majority of each; a plain
 * one has an empty second half. The empty majority agrees to everything, so that it is the neutral element
 * of joining. Kept apart from all state, and as plain as can be: off-by-one errors in this arithmetic have
 * cost others their data (hashicorp 163a55f, openraft #1802), therefore the index is found by sorting a
 * fresh array each time, never by an incremental scan.
 */
import type { LogIndex, NodeId } from "../base/ids.js";

/**
 * Who decides: a majority of `incoming` and, while a change is under way, of `outgoing` too (empty
 * otherwise). Each sorted by id.
 */
export interface JointConfig {
  readonly incoming: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
}

export type VoteResult = "VotePending" | "VoteLost" | "VoteWon";

/** The largest index that a majority of `voters` has acknowledged; Infinity for no voters. */
export function majorityCommitted(
  voters: readonly NodeId[],
  acked: (id: NodeId) => LogIndex | undefined,
): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const indexes = voters.map((id): number => acked(id) ?? 0).sort((a, b) => a - b);
  // Of n sorted ascending, position n - (floor(n/2) + 1) has a majority at or above it.
  return indexes[indexes.length - (Math.floor(indexes.length / 2) + 1)] ?? 0;
}

/** The largest index that is committed by both halves. */
export function jointCommitted(config: JointConfig, acked: (id: NodeId) => LogIndex | undefined): number {
  return Math.min(majorityCommitted(config.incoming, acked), majorityCommitted(config.outgoing, acked));
}

/** What `votes` (absent: not heard yet) mean to a majority of `voters`; no voters agree to everything. */
export function majorityVote(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  if (voters.length === 0) return "VoteWon";
  const quorum = Math.floor(voters.length / 2) + 1;
  const granted = voters.filter((id) => votes.get(id) === true).length;
  const missing = voters.filter((id) => !votes.has(id)).length;
  if (granted >= quorum) return "VoteWon";
  return granted + missing >= quorum ? "VotePending" : "VoteLost";
}

/** Won when both halves are won, lost as soon as one is lost. */
export function jointVote(config: JointConfig, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const incoming = majorityVote(config.incoming, votes);
  const outgoing = majorityVote(config.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === "VoteLost" || outgoing === "VoteLost" ? "VoteLost" : "VotePending";
}

/** Every voter of either half, once, sorted. */
export function jointIds(config: JointConfig): readonly NodeId[] {
  return [...new Set([...config.incoming, ...config.outgoing])].sort((a, b) => a - b);
}
