/**
 * What people and programs ask of a witness, and what it answers: the admin API as plain data.
 *
 * Reads are answered by any witness from its applied state, with its age; writes go to the leader. `drivers/server`
 * turns this into gRPC, `cli` into words. Refusals carry one of the closed codes of code.ts.
 */
import type { LogIndex, NodeId, SiteId, Term, WitnessId } from "../base/ids.js";
import type { RefusalCode } from "./code.js";
import type { Member } from "./members.js";
import type { SiteVerdict } from "./observation.js";
import type { AuditRecord, GroupState, SessionKey, WitnessRecord, WriteOutcome } from "./state.js";

/**
 * What a write may carry so that it is applied once however often it is asked: the client's own name for it.
 * Without one, a write whose answer is lost has to be looked up before it is asked again. A `transfer` needs none:
 * asked twice it does the same.
 */
interface Named {
  readonly session?: SessionKey;
}

export type AdminRequest =
  /** `linearizable`: confirm with a quorum first (ReadIndex), else the witness's own applied state. */
  | { readonly kind: "status"; readonly linearizable: boolean }
  | { readonly kind: "explain"; readonly group: string }
  | ({
      readonly kind: "switchover";
      readonly group: string;
      readonly to: SiteId;
      readonly by: string;
      readonly reason: string;
    } & Named)
  | ({
      readonly kind: "hold";
      readonly group: string;
      readonly by: string;
      readonly reason: string;
    } & Named)
  | ({ readonly kind: "resume"; readonly group: string; readonly by: string } & Named)
  | ({ readonly kind: "transfer"; readonly to: WitnessId } & Named)
  | { readonly kind: "members" }
  | MemberWrite;

/** Requests that change who takes part in the log. */
export type MemberWrite = Named &
  /** A new witness joins as a learner. */
  (
    | {
        readonly kind: "member_add";
        readonly witness: WitnessId;
        readonly site: SiteId | null;
        readonly peers: readonly string[];
        readonly admin: string;
        readonly dns: string | null;
        readonly by: string;
      }
    | { readonly kind: "member_promote"; readonly witness: WitnessId; readonly by: string }
    | {
        readonly kind: "member_remove";
        readonly witness: WitnessId;
        /** Although too few living voters are left. */
        readonly force: boolean;
        readonly by: string;
      }
    /**
     * A new member, a learner at first, takes the place of the voter `witness` as soon as it has caught up. What is
     * null or empty stays as the voter has it.
     */
    | {
        readonly kind: "member_replace";
        readonly witness: WitnessId;
        /** Another name for the new one: then both can be alive until the swap. */
        readonly successor: WitnessId | null;
        readonly site: SiteId | null;
        readonly peers: readonly string[];
        readonly admin: string | null;
        readonly dns: string | null;
        /** Although the old one seems alive, or too few living voters are left meanwhile. */
        readonly force: boolean;
        readonly by: string;
      }
  );

/**
 * Replicates `data` as a command without effect, on the leader only: to measure the log, and to see that it
 * still takes writes. Nobody passes it on; a stream of its own carries it (drivers/server/admin-exercise.ts).
 */
export interface ExerciseRequest {
  readonly kind: "exercise";
  readonly data: string;
}

/** Requests that change the replicated state or the leadership. */
export type WriteRequest = Exclude<
  AdminRequest,
  { kind: "status" } | { kind: "explain" } | { kind: "members" }
>;

/** Whether the request may have been decided when its answer is lost. */
export function isWrite(request: AdminRequest | ExerciseRequest): request is WriteRequest | ExerciseRequest {
  return request.kind !== "status" && request.kind !== "explain" && request.kind !== "members";
}

/** Whether the write changes who takes part in the log. */
export function isMemberWrite(write: WriteRequest): write is MemberWrite {
  switch (write.kind) {
    case "member_add":
    case "member_promote":
    case "member_remove":
    case "member_replace":
      return true;
    case "switchover":
    case "hold":
    case "resume":
    case "transfer":
      return false;
  }
}

export type AdminResponse =
  | { readonly kind: "status"; readonly status: StatusReport }
  | { readonly kind: "explain"; readonly explanation: Explanation }
  | { readonly kind: "members"; readonly report: MembersReport }
  /** The write is decided: committed at `index`. */
  | Extract<WriteOutcome, { kind: "accepted" }>
  | Refusal;

export interface Refusal {
  readonly kind: "refused";
  readonly code: RefusalCode;
  /** Names the field, the value and the remedy. */
  readonly message: string;
  readonly leader: WitnessId | null;
}

export interface StatusReport {
  readonly cluster: string;
  readonly witness: WitnessId;
  readonly raft: {
    readonly term: Term;
    readonly leader: WitnessId | null;
    readonly role: "leader" | "follower" | "candidate" | "pre-candidate";
    readonly commit: LogIndex;
    readonly applied: LogIndex;
    readonly lastIndex: LogIndex;
    readonly recovering: boolean;
    /** Of the answering witness. Not null: for how long its oldest write is out, if over an election timeout. In ms. */
    readonly disk: { readonly stalledMs: number | null };
    /** Leader only: what it knows of each peer. */
    readonly peers: readonly {
      readonly witness: WitnessId;
      readonly match: LogIndex;
      readonly active: boolean;
      readonly state: string;
      /** It answers, and for so long, over an election timeout, wrote nothing of what it lacks. Unit: ms. */
      readonly slowMs: number | null;
      /** Nothing was heard of it for so long, more than an election timeout. Unit: ms. */
      readonly silentMs: number | null;
    }[];
  };
  /** Since this witness last heard of a leader (0 on the leader itself); null: never. Unit: ms. */
  readonly leaderContactAgeMs: number | null;
  readonly clusterTimeMs: number;
  readonly configVersion: number | null;
  /** The document of this witness differs from the replicated one. */
  readonly configDiffers: boolean;
  readonly witnesses: readonly WitnessRecord[];
  /** Who takes part in the log, learners too. */
  readonly members: readonly MemberReport[];
  readonly groups: readonly GroupReport[];
}

/** Who takes part in the log, as the answering witness has it applied; the leader adds how far each one is. */
export interface MembersReport {
  /** The witness that answers. */
  readonly witness: WitnessId;
  readonly leader: WitnessId | null;
  /** The leader's node id among the members; null: no leader is known. */
  readonly leaderNode: NodeId | null;
  readonly appliedIndex: LogIndex;
  /** Last index of the answering witness's log: what the others catch up with, when it leads. */
  readonly lastIndex: LogIndex;
  /** "Now" for all ages in this report. */
  readonly clusterTimeMs: number;
  /** Leader only: a change of Raft's configuration is not finished; the next one has to wait. */
  readonly changeRunning: boolean;
  readonly members: readonly MemberReport[];
}

export interface MemberReport {
  readonly member: Member;
  /** Null from a follower, and for what the leader knows nothing of. */
  readonly progress: MemberProgress | null;
}

/** What a leader knows of a member's log. */
export interface MemberProgress {
  /** Highest index known to be on its disk. */
  readonly match: LogIndex;
  /** Heard of within an election timeout; true for the leader itself. */
  readonly active: boolean;
  /** How it is fed: StateProbe, StateReplicate, StateSnapshot. */
  readonly state: string;
  /**
   * Not null while a snapshot is on its way to it: what it has, and of how much, which is known only at the end: it
   * is made while it is sent.
   */
  readonly snapshot: { readonly confirmedBytes: number; readonly totalBytes: number | null } | null;
  /** Why the leader does not listen to what speaks under its name, such as `other_disk`; null: it does. */
  readonly refused: string | null;
}

export interface GroupReport {
  readonly group: GroupState;
  readonly sites: readonly SiteVerdict[];
  /** How the old primary is kept from serving; `none` is shown as "unfenced". */
  readonly fence: "none" | "exec";
  readonly standing: Standing;
}

/** Why a group moves or stays, at this moment. */
export interface Standing {
  readonly action: "stay" | "switch" | "plan";
  /** Stable code of the reason (policy.ts lists them). */
  readonly code: string;
  /** One sentence for people. */
  readonly message: string;
  readonly evidence: readonly string[];
  /** Something is wrong although nothing is done: worth a note in the log. */
  readonly noteworthy: boolean;
}

export interface Explanation {
  readonly group: string;
  readonly report: GroupReport;
  /** The latest audit records of the group, newest last. */
  readonly recent: readonly AuditRecord[];
  /** What would have to change for the group to move, one line each. */
  readonly missing: readonly string[];
  readonly asOfIndex: LogIndex;
}
