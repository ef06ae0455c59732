/**
 * The words of the consensus room: messages, entries, hard state, and what `ready()` hands out.
 *
 * Names follow etcd-io/raft, so that a reader of one can read the other and its scenario files can be
 * replayed. Everything here is plain data. Order, which the whole of safety rests on, is data too: a
 * message that may only leave after a write is durable stands in the `responses` of that write's
 * `MsgStorageAppend` and nowhere else.
 */
import { type LogIndex, type NodeId, nodeId, type Term } from "../base/ids.js";

/** Target of `MsgStorageAppend`: this member's own disk. */
export const LOCAL_APPEND_THREAD: NodeId = nodeId(Number.MAX_SAFE_INTEGER);
/** Target of `MsgStorageApply`: this member's own state machine. */
export const LOCAL_APPLY_THREAD: NodeId = nodeId(Number.MAX_SAFE_INTEGER - 1);

/** What an entry means to Raft; its bytes mean nothing to Raft. */
export type EntryType = "EntryNormal" | "EntryConfChange" | "EntryConfChangeV2";

/**
 * One position of the replicated log. Invariant: two logs with the same term at an index are equal up to
 * there.
 */
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

/**
 * The configuration of the cluster, as a snapshot carries it (etcd's raftpb.ConfState). While a change is under
 * way `votersOutgoing` is the half that is being left; `learnersNext` are its voters that become learners when
 * it is; `autoLeave` says that the leader leaves by itself. Invariant: each list sorted by id.
 */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

/** What stands for the log up to and including `index`. */
export interface Snapshot {
  readonly index: LogIndex;
  /** Term of the entry at `index`. */
  readonly term: Term;
  /** The configuration in force after `index` was applied. */
  readonly confState: ConfState;
  /** The state machine after `index`: Raft carries it and never looks inside. Never mutated. */
  readonly data: unknown;
}

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
  | "MsgSnapStatus"
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
  /**
   * MsgApp: term of the entry before `entries`. Votes: term of the candidate's last entry. Rejections: term
   * at `rejectHint`.
   */
  readonly logTerm: Term;
  /**
   * MsgApp: index before `entries`. Votes: candidate's last index. MsgAppResp: what is acknowledged or
   * rejected.
   */
  readonly index: LogIndex;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
  /** MsgStorageAppend only, with `term` and `commit` the hard state to write. */
  readonly vote: NodeId;
  readonly reject: boolean;
  readonly rejectHint: LogIndex;
  /**
   * ReadIndex context, or the mark of a campaign that was asked for by a leader transfer. Empty when
   * unused.
   */
  readonly context: Uint8Array;
  /** MsgStorageAppend and MsgStorageApply: to be delivered when the work is done, never earlier. */
  readonly responses: readonly Message[];
  /** MsgSnap, and the MsgStorageAppend that installs it; null elsewhere. */
  readonly snapshot: Snapshot | null;
  /**
   * MsgAppResp, MsgHeartbeatResp: the sender lost durable log and rebuilds it (recovery.ts). The
   * leader believes the rejection even below the match index that it remembers.
   */
  readonly recovering: boolean;
}

/** An answered ReadIndex: when `index` is applied, the state may be read for `context`. */
export interface ReadState {
  readonly index: LogIndex;
  readonly context: Uint8Array;
}

/**
 * Work for the caller, in this order: write `hardState` and `entries` (synced when `mustSync`), send
 * `messages`, apply `committedEntries`. With asynchronous storage writes the first and the last stand in
 * `messages` too, as MsgStorageAppend and MsgStorageApply with their responses; `entries`, `hardState` and
 * `committedEntries` are then for reading only. Invariant: nothing in here is changed later by the core.
 */
export interface Ready {
  /** Null when unchanged since the last Ready. */
  readonly softState: SoftState | null;
  /** Null when unchanged since the last Ready. */
  readonly hardState: HardState | null;
  readonly readStates: readonly ReadState[];
  /** To write before `entries`: it replaces the whole log and the whole state. Null when there is none. */
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  /**
   * True when `hardState` or `entries` hold a promise (term, vote, log); false when only `commit` moved,
   * which may be lost.
   */
  readonly mustSync: boolean;
}

/** How a leader feeds one peer (progress.ts). */
export type ProgressStateType = "StateProbe" | "StateReplicate" | "StateSnapshot";

/** What a leader knows of one member. */
export interface ProgressStatus {
  readonly id: NodeId;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: ProgressStateType;
  /** Heard from since the last check of the quorum; false for everybody just after one. */
  readonly recentActive: boolean;
  /** Heard from within the last one to two election timeouts. */
  readonly active: boolean;
  readonly paused: boolean;
  readonly inflight: number;
  readonly inflightFull: boolean;
  /** StateSnapshot: the index of the snapshot under way; else 0. */
  readonly pendingSnapshot: LogIndex;
  readonly isLearner: boolean;
  /** The member says that it lost durable log and rebuilds it. */
  readonly recovering: boolean;
}

/** One member, as it sees itself. */
export interface Status {
  readonly id: NodeId;
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lead: NodeId;
  readonly state: StateType;
  readonly leadTransferee: NodeId;
  /** Voters of either half. */
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** The configuration in force, by what this member has applied. */
  readonly confState: ConfState;
  /** Index of the first entry that the log still holds. */
  readonly firstIndex: LogIndex;
  /** Sorted by id; empty unless this member leads. */
  readonly progress: readonly ProgressStatus[];
  /** Not null while this member neither votes nor campaigns because it lost durable log. */
  readonly recovering: Recovering | null;
  /**
   * Messages that no correct member of this cluster could have sent, and the last such; 0 and null in a
   * healthy cluster.
   */
  readonly anomalyCount: number;
  readonly lastAnomaly: string | null;
}

/** What a member that lost durable log may have promised before the loss. */
export interface Recovering {
  /** No entry past this index was ever acknowledged. */
  readonly ackedIndex: LogIndex;
  /** No vote or acknowledgement was ever given in a later term. */
  readonly term: Term;
}

/**
 * What became of a message handed to `step`. Only `stepped` means that it was looked at; none of them is an
 * error of the caller.
 */
export type StepOutcome =
  | "stepped"
  /** A proposal that found no leader, a leader that hands over, or a full log. */
  | "proposal_dropped"
  /** An answer from somebody that is no member. */
  | "peer_not_found"
  /** A storage message that does not come from this member's own storage. */
  | "stray_local_message"
  /** For another member. */
  | "foreign"
  | "malformed";
