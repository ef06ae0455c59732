/**
 * The replicated state: what every witness that applied the same log holds, to the byte.
 *
 * Plain data, changed only by `apply` (apply.ts). Times are cluster time in ms (docs/adr/0004): the leader's stamps,
 * which only grow. Wall times stand beside them for people and decide nothing. Lists and records are kept in a fixed
 * order so that equal states have equal encodings.
 */
import type { Epoch, LogIndex, NodeId, SiteId, Term, WitnessId } from "../base/ids.js";
import type { RefusalCode } from "./code.js";
import type { ClusterConfig, TargetKey } from "./config.js";
import type { Member } from "./members.js";
import type { Evidence, Opinion } from "./observation.js";

export interface State {
  /** The last applied entry. */
  readonly appliedIndex: LogIndex;
  readonly appliedTerm: Term;
  /** The stamp of the last applied command; 0 before any. */
  readonly clusterTimeMs: number;
  /** The replicated document; null until a leader has committed one. */
  readonly config: ClusterConfig | null;
  /** Hash of the file that it came from; another text when members changed since, and no file says the same. */
  readonly configHash: string;
  /** Who takes part in the log, sorted by node id; empty until a document is replicated. */
  readonly members: readonly Member[];
  /** The node id that the next member gets. */
  readonly nextNode: NodeId;
  /** What each witness was last committed to see, by witness, in the order of the document. */
  readonly witnesses: Readonly<Record<string, WitnessRecord>>;
  /** By group id, in the order of the document. */
  readonly groups: Readonly<Record<string, GroupState>>;
  /** The newest audit records, oldest first, at most `HISTORY_MAX`. */
  readonly history: readonly AuditRecord[];
  /** What clients wrote last, by session (sessions.ts): the one that wrote longest ago first. */
  readonly sessions: readonly SessionRecord[];
}

/** How many audit records the state keeps. */
export const HISTORY_MAX = 2000;

export interface WitnessRecord {
  readonly witness: WitnessId;
  /** Not heard of for `viewTimeoutMs`: all its opinions count as unknown. True until the first view. */
  readonly stale: boolean;
  readonly abstaining: boolean;
  /** Since when it is stale, abstaining, or neither. */
  readonly sinceMs: number;
  readonly observations: Readonly<Record<TargetKey, RecordedObservation>>;
}

export interface RecordedObservation {
  readonly opinion: Opinion;
  /** Cluster time of the commit that changed the opinion. */
  readonly sinceMs: number;
  readonly sinceWallMs: number;
  /** Log index of that commit. */
  readonly index: LogIndex;
  readonly evidence: Evidence;
}

/** The right to be primary. `revoked`: taken away, not yet granted again: no site is primary. */
export interface Ticket {
  readonly status: "none" | "held" | "revoked";
  /** Holder while `held`; last holder while `revoked`. */
  readonly site: SiteId | null;
  /** Epoch of the last grant. */
  readonly epoch: Epoch;
  readonly grantedAtMs: number;
}

export interface GroupState {
  readonly id: string;
  readonly ticket: Ticket;
  readonly mode: "automatic" | "hold";
  /** Who holds the group and why; null in automatic mode. */
  readonly holdReason: string | null;
  /** Where the group's names point, by the last finished route step. */
  readonly routed: { readonly site: SiteId; readonly epoch: Epoch } | null;
  /** Highest epoch that any plan of the group has used; the next plan takes the next one. */
  readonly lastEpoch: Epoch;
  /** The plan under way, or the last one. Invariant: its epoch is `lastEpoch`; lower after restored.ts. */
  readonly plan: Plan | null;
  /** Cluster time at which the last switch ended; null before any. Hold-down counts from it. */
  readonly lastSwitchAtMs: number | null;
  /** Sites that a failed failover left behind; not candidates until a person resumes or a switch to them succeeds. */
  readonly failedSites: readonly SiteId[];
  /** The standing reason for not acting that was last noted, so that it is noted once. */
  readonly notedCode: string | null;
}

export type StepName = "precheck" | "drain" | "fence" | "promote" | "route" | "verify" | "announce";
export type PlanKind = "initial" | "failover" | "failback" | "switchover" | "rollback";

/** An ordered work for one epoch. Invariant: at most one plan of a group is `running`. */
export interface Plan {
  readonly group: string;
  readonly epoch: Epoch;
  readonly kind: PlanKind;
  readonly from: SiteId | null;
  readonly to: SiteId;
  readonly reason: string;
  /** The verdict's evidence in words, one line each, frozen at the decision. */
  readonly evidence: readonly string[];
  /** Who asked: a person's name for a switchover, "policy" otherwise. */
  readonly by: string;
  readonly status: "running" | "done" | "failed" | "rolled_back";
  /** Log index of the decision. */
  readonly index: LogIndex;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  /** Why it ended as it did. */
  readonly endReason: string | null;
  /** Position of the current step in `steps`; `steps.length` when all are finished. */
  readonly cursor: number;
  readonly steps: readonly StepRecord[];
}

/** `unknown` outcomes are retried or verified, never assumed. */
export type OutcomeKind = "done" | "failed" | "unknown";

export interface StepOutcome {
  readonly kind: OutcomeKind;
  /** Stable code of a failure, "ok" when done. */
  readonly code: string;
  /** One line for people. */
  readonly message: string;
  /** False: trying again cannot help (a stranger's record, a stale epoch). */
  readonly retriable: boolean;
  /** Output of a hook, answers of servers; cut at a limit. */
  readonly detail: string;
}

export interface StepRecord {
  readonly step: StepName;
  readonly status: "pending" | "begun" | "done" | "failed" | "unknown" | "skipped";
  /** Number of the attempt that is under way or ended last; 0 before the first. */
  readonly attempt: number;
  readonly begunAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** The leader that began it. */
  readonly by: WitnessId | null;
  readonly outcome: StepOutcome | null;
}

/** Names one running of one step; actuators are idempotent by group, epoch and step. */
export interface StepKey {
  readonly group: string;
  readonly epoch: Epoch;
  readonly step: StepName;
  readonly attempt: number;
}

export type AuditKind =
  | "config"
  | "observation"
  | "witness"
  | "decision"
  | "step_begun"
  | "step_finished"
  | "grant"
  | "plan_done"
  | "plan_failed"
  | "plan_rolled_back"
  | "hold"
  | "resume"
  | "member"
  | "note";

/**
 * One thing that happened, with its place in the log. Invariant: `index` only grows; `seq` numbers records of
 * one index.
 */
export interface AuditRecord {
  readonly index: LogIndex;
  readonly seq: number;
  readonly term: Term;
  readonly atMs: number;
  readonly wallMs: number;
  readonly leader: WitnessId;
  readonly kind: AuditKind;
  readonly group: string | null;
  readonly epoch: Epoch | null;
  /** Which step, for records of steps; else null. */
  readonly step: StepName | null;
  /** One sentence for people. */
  readonly message: string;
  /** Evidence, outcomes, hook output: one line each. */
  readonly detail: readonly string[];
}

/** The name of one write of one client, the same each time that it is asked. */
export interface SessionKey {
  /** Chosen at random by the client; unique. */
  readonly id: string;
  /** Counts the writes of the session, from 1. */
  readonly sequence: number;
}

/** What became of a write, as its client is told. */
export type WriteOutcome =
  | {
      readonly kind: "accepted";
      readonly index: LogIndex;
      /** Of the plan that was decided, or null. */
      readonly epoch: Epoch | null;
      readonly message: string;
    }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly message: string };

/** The last write of one session. */
export interface SessionRecord extends SessionKey {
  /** Cluster time of that write. */
  readonly usedAtMs: number;
  readonly outcome: WriteOutcome;
}

/** The state before the first entry. */
export const EMPTY_STATE: State = {
  appliedIndex: 0 as LogIndex,
  appliedTerm: 0 as Term,
  clusterTimeMs: 0,
  config: null,
  configHash: "",
  members: [],
  nextNode: 1 as NodeId,
  witnesses: {},
  groups: {},
  history: [],
  sessions: [],
};
