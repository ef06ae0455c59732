/**
 * The whole contract between the core and the world: two closed unions, `Input` and `Effect`.
 *
 * The runtime hands in one input at a time and performs the effects in order. Nothing else passes the wall. What must
 * wait for durability stands in the `release` of its `persist`, so that a driver cannot send it early by mistake.
 */
import type { LogIndex, NodeId, SiteId, Term, WitnessId } from "../base/ids.js";
import type { AdminRequest, AdminResponse, ExerciseRequest, WriteRequest } from "../model/admin.js";
import type { GroupConfig, ProbeSpec, TargetKey } from "../model/config.js";
import type { ProbeResult, View } from "../model/observation.js";
import type { AuditRecord, Plan, State, StepKey, StepOutcome } from "../model/state.js";
import type { Entry, HardState, Message, Snapshot } from "../raft/types.js";

/** The replicated state after `index`, which stands for the log up to there. */
export interface StateSnapshot extends Snapshot {
  readonly data: State;
}

/**
 * Who this witness is to Raft. Decided once in the life of a disk, and durable before anything else is: what
 * the log means depends on it.
 */
export interface Adopted {
  /** Never used again for another disk. */
  readonly node: NodeId;
  /**
   * The voters before the first entry, in order: node ids 1, 2, … Empty for one that joined later and learns
   * the configuration from the log.
   */
  readonly bootstrap: readonly WitnessId[];
}

/** Where another witness is reached. */
export interface PeerAddress {
  readonly witness: WitnessId;
  /** host:port, each a path of its own. */
  readonly addresses: readonly string[];
}

/** What one witness sends to another, one way; none of it waits for an answer on the wire. */
export type PeerMessage =
  | { readonly kind: "raft"; readonly message: Message }
  | { readonly kind: "view"; readonly view: View }
  /**
   * A write that a client brought to a follower, for the leader of `term` and for no later one, so that a
   * leader that comes back from a crash does not decide it again. `request` is unique across witnesses and
   * lives.
   */
  | {
      readonly kind: "forward";
      readonly request: string;
      readonly term: Term;
      readonly write: WriteRequest;
    }
  | { readonly kind: "forwarded"; readonly request: string; readonly response: AdminResponse }
  /**
   * What a witness hears whose Raft messages are not taken. `other_disk`: its witness id is a member's, on another
   * disk. `no_member`: no member has its id.
   */
  | { readonly kind: "refused"; readonly code: "other_disk" | "no_member"; readonly message: string };

export type Input =
  /** First input of a life: what the disk held, and the monotonic clock at that moment. */
  | {
      readonly kind: "restored";
      readonly monoMs: number;
      readonly hardState: HardState;
      /** Place of the last entry that the log no longer holds; 0 and 0 for a whole log. */
      readonly base: { readonly index: LogIndex; readonly term: Term };
      readonly entries: readonly Entry[];
      /** Null: the state before the first entry. */
      readonly snapshot: StateSnapshot | null;
      /** Null: this disk has never taken part. */
      readonly adopted: Adopted | null;
      /** The UUID of this disk. */
      readonly disk: string;
      readonly recovering: { readonly ackedIndex: LogIndex; readonly term: Term } | null;
    }
  /**
   * Time: monotonic ms of this process, and wall ms for people. One comes before any other input when
   * `tickMs` or more have passed since the last, so that a witness that stood still knows it before it hears
   * anything.
   */
  | { readonly kind: "tick"; readonly monoMs: number; readonly wallMs: number }
  /** `disk`: what the sender said of its own. */
  | {
      readonly kind: "message";
      readonly from: WitnessId;
      readonly disk: string;
      readonly message: PeerMessage;
    }
  | { readonly kind: "persisted"; readonly write: number }
  /** The answer to `compact`: entries up to `base` are gone from the disk. */
  | { readonly kind: "compacted"; readonly base: LogIndex }
  /** A snapshot (a Raft message with one) was handed over whole, or given up. */
  | { readonly kind: "snapshot_sent"; readonly to: WitnessId; readonly index: LogIndex; readonly ok: boolean }
  | {
      readonly kind: "probed";
      readonly target: TargetKey;
      readonly probe: number;
      readonly result: ProbeResult;
    }
  | { readonly kind: "actuated"; readonly key: StepKey; readonly outcome: StepOutcome }
  | { readonly kind: "request"; readonly id: string; readonly request: AdminRequest | ExerciseRequest }
  /** The client went away: its answer is not wanted any more. */
  | { readonly kind: "abandoned"; readonly id: string }
  /** The process was asked to stop: a leader hands over first. Answered by `halt`. */
  | { readonly kind: "stop" };

export type Effect =
  /**
   * Write durably, in order; then send what waited for it (`release`) and hand in `persisted`. A `snapshot` was
   * received: it replaces the whole log, in the same step as the rest.
   */
  | {
      readonly kind: "persist";
      readonly write: number;
      readonly hardState: HardState | null;
      readonly snapshot: StateSnapshot | null;
      readonly entries: readonly Entry[];
      readonly release: readonly { readonly to: WitnessId; readonly message: PeerMessage }[];
    }
  /** Who this disk is from now on, durable before any `persist` that follows. */
  | { readonly kind: "adopt"; readonly adopted: Adopted }
  /**
   * Write this snapshot, then let go of the log before `keepFrom`; in the background, other writes go on. Answered by
   * `compacted`; one at a time.
   */
  | { readonly kind: "compact"; readonly snapshot: StateSnapshot; readonly keepFrom: LogIndex }
  /** Who the other witnesses are from now on, and where. */
  | { readonly kind: "peers"; readonly peers: readonly PeerAddress[] }
  /** `urgent`: heartbeats, votes, acknowledgements, views: small, over every connection. */
  | {
      readonly kind: "send";
      readonly to: WitnessId;
      readonly message: PeerMessage;
      readonly urgent: boolean;
    }
  | {
      readonly kind: "probe";
      readonly target: TargetKey;
      readonly probe: number;
      readonly spec: ProbeSpec;
      readonly timeoutMs: number;
    }
  /** Run a step of a plan; its end comes back as `actuated`. */
  | {
      readonly kind: "actuate";
      readonly key: StepKey;
      readonly plan: Plan;
      readonly group: GroupConfig;
      /** The longest that it may take, retries inside included. */
      readonly deadlineMs: number;
    }
  /** This witness leads no longer: stop what still runs for that key, as far as it can be stopped. */
  | { readonly kind: "cancel"; readonly key: StepKey }
  | { readonly kind: "reply"; readonly id: string; readonly response: AdminResponse }
  | { readonly kind: "publish"; readonly event: PublishedEvent }
  /** Stop the process with that exit code, after what was persisted before is durable. */
  | { readonly kind: "halt"; readonly code: number; readonly reason: string };

export type PublishedEvent =
  | { readonly kind: "audit"; readonly record: AuditRecord }
  | {
      readonly kind: "role";
      readonly term: Term;
      readonly role: string;
      readonly leader: WitnessId | null;
    }
  /** The group's names point elsewhere now. */
  | { readonly kind: "routed"; readonly group: string; readonly site: SiteId }
  | { readonly kind: "warning"; readonly code: string; readonly message: string };
