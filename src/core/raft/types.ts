/**
 * The words of the consensus room: messages, entries, hard state, and what `ready()` hands out.
 *
 * Names follow etcd-io/raft, so that a reader of one can read the other and its scenario files can be replayed.
 * Everything here is plain data. Order, which the whole of safety rests on, is data too: a message that may only
 * leave after a write is durable stands in the `responses` of that write's `MsgStorageAppend` and nowhere else.
 */
import { type LogIndex, type NodeId, nodeId, type Term } from "../base/ids.js";

/** Target of `MsgStorageAppend`: this member's own disk. */
export const LOCAL_APPEND_THREAD: NodeId = nodeId(Number.MAX_SAFE_INTEGER);
/** Target of `MsgStorageApply`: this member's own state machine. */
export const LOCAL_APPLY_THREAD: NodeId = nodeId(Number.MAX_SAFE_INTEGER - 1);

/** What an entry means to Raft; its bytes mean nothing to Raft. */
export type EntryType = "EntryNormal" | "EntryConfChange" | "EntryConfChangeV2";

/** One position of the replicated log. Invariant: two logs with the same term at an index are equal up to there. */
export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** What a member must never forget (paper, figure 2). `vote` 0 is "none in this term". */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: LogIndex;
}

/** What a member may forget: for status and logs. */
export interface SoftState {
  readonly lead: NodeId;
  readonly state: StateType;
}

export type StateType = "StateFollower" | "StatePreCandidate" | "StateCandidate" | "StateLeader";

/** Kinds of message between members, and between a member and its own storage. */
export type MessageType =
  | "MsgApp"
  | "MsgAppResp"
  | "MsgVote"
  | "MsgVoteResp"
  | "MsgPreVote"
  | "MsgPreVoteResp"
  | "MsgHeartbeat"
  | "MsgHeartbeatResp"
  | "MsgSnap"
  | "MsgTimeoutNow"
  | "MsgTransferLeader"
  | "MsgReadIndex"
  | "MsgReadIndexResp"
  | "MsgForgetLeader"
  | "MsgProp"
  | "MsgStorageAppend"
  | "MsgStorageAppendResp"
  | "MsgStorageApply"
  | "MsgStorageApplyResp";

/** One message. Fields without a meaning for a type are zero, empty or absent, as in etcd's raftpb. */
export interface Message {
  readonly type: MessageType;
  readonly from: NodeId;
  readonly to: NodeId;
  /** 0 for local messages and forwarded proposals. */
  readonly term: Term;
  /** MsgApp: term of the entry before `entries`. Votes: term of the candidate's last entry. Rejections: term at `rejectHint`. */
  readonly logTerm: Term;
  /** MsgApp: index before `entries`. Votes: candidate's last index. MsgAppResp: what is acknowledged or rejected. */
  readonly index: LogIndex;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
  /** MsgStorageAppend only, with `term` and `commit` the hard state to write. */
  readonly vote: NodeId;
  readonly reject: boolean;
  readonly rejectHint: LogIndex;
  /** ReadIndex context, or the mark of a campaign that was asked for by a leader transfer. Empty when unused. */
  readonly context: Uint8Array;
  /** MsgStorageAppend and MsgStorageApply: to be delivered when the work is done, never earlier. */
  readonly responses: readonly Message[];
  /**
   * MsgAppResp: the sender lost durable log and rebuilds it (DESIGN: `recovering`). The leader believes the rejection even
   * below the match index that it remembers.
   */
  readonly recovering: boolean;
}

/** An answered ReadIndex: when `index` is applied, the state may be read for `context`. */
export interface ReadState {
  readonly index: LogIndex;
  readonly context: Uint8Array;
}
