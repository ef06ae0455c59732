/**
 * What people and programs ask of a witness, and what it answers: the admin API as plain data.
 *
 * Reads are answered by any witness from its applied state, with its age; writes go to the leader. `drivers/server`
 * turns this into gRPC, `cli` into words. Refusals carry one of the closed codes of code.ts.
 */
import type { Epoch, LogIndex, SiteId, Term, WitnessId } from "../base/ids.js";
import type { RefusalCode } from "./code.js";
import type { SiteVerdict } from "./observation.js";
import type { AuditRecord, GroupState, WitnessRecord } from "./state.js";

export type AdminRequest =
  /** `linearizable`: confirm with a quorum first (ReadIndex), else the witness's own applied state. */
  | { readonly kind: "status"; readonly linearizable: boolean }
  | { readonly kind: "explain"; readonly group: string }
  | {
      readonly kind: "switchover";
      readonly group: string;
      readonly to: SiteId;
      readonly by: string;
      readonly reason: string;
    }
  | { readonly kind: "hold"; readonly group: string; readonly by: string; readonly reason: string }
  | { readonly kind: "resume"; readonly group: string; readonly by: string }
  | { readonly kind: "transfer"; readonly to: WitnessId };

/**
 * Replicates `data` as a command without effect, on the leader only: to measure the log, and to see that it
 * still takes writes. Nobody passes it on; a stream of its own carries it (drivers/server/admin-exercise.ts).
 */
export interface ExerciseRequest {
  readonly kind: "exercise";
  readonly data: string;
}

/** Requests that change the replicated state or the leadership. */
export type WriteRequest = Exclude<AdminRequest, { kind: "status" } | { kind: "explain" }>;

/** Whether the request may have been decided when its answer is lost. */
export function isWrite(request: AdminRequest | ExerciseRequest): request is WriteRequest | ExerciseRequest {
  return request.kind !== "status" && request.kind !== "explain";
}

export type AdminResponse =
  | { readonly kind: "status"; readonly status: StatusReport }
  | { readonly kind: "explain"; readonly explanation: Explanation }
  /** The write is decided: committed at `index`. */
  | {
      readonly kind: "accepted";
      readonly index: LogIndex;
      readonly epoch: Epoch | null;
      readonly message: string;
    }
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
    /** Leader only: what it knows of each peer. */
    readonly peers: readonly {
      readonly witness: WitnessId;
      readonly match: LogIndex;
      readonly active: boolean;
      readonly state: string;
    }[];
  };
  /** Since this witness last heard of a leader (0 on the leader itself); null: never. Unit: ms. */
  readonly leaderContactAgeMs: number | null;
  readonly clusterTimeMs: number;
  readonly configVersion: number | null;
  /** The document of this witness differs from the replicated one. */
  readonly configDiffers: boolean;
  readonly witnesses: readonly WitnessRecord[];
  readonly groups: readonly GroupReport[];
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
