/**
 * What witnesses see and what the quorum makes of it: the nouns shared by detection, policy and people.
 *
 * An observation is one witness's settled opinion of one target with its evidence. A witness that is silent, stale or
 * abstaining counts as unknown, never as up or down. A verdict is the majority of all configured witnesses.
 */
import type { SiteId, WitnessId } from "../base/ids.js";
import type { TargetKey } from "./config.js";

export type Opinion = "up" | "down" | "unknown";

/**
 * Why an opinion is held. `definite`: the target or its host said so. `ambiguous`: silence. `ok`: it answered well.
 * `stall`: the witness noticed that it was itself stopped. `start`: nothing has been seen yet.
 */
export type EvidenceKind = "ok" | "definite" | "ambiguous" | "stall" | "start";

export interface Evidence {
  readonly kind: EvidenceKind;
  /** One line for people: the last error, or what answered. */
  readonly text: string;
  /** How many results in a row support it. */
  readonly count: number;
  /** Silence only: the chance that a healthy target on this path gives such a run; else null. */
  readonly falseAlarm: number | null;
  /** Smoothed round-trip time of successful probes; null before the first. Unit: ms. */
  readonly rttMs: number | null;
  /** Recent share of probes on this path that got no answer from a target that was alive, 0 to 1; null before any. */
  readonly loss: number | null;
}

/** How one probe ended. */
export type ProbeResult =
  | { readonly kind: "ok"; readonly rttMs: number; readonly text: string }
  /** The target or its host said no: refused, wrong status, exit code. */
  | { readonly kind: "definite"; readonly rttMs: number; readonly text: string }
  /** Silence: timeout, no route. */
  | { readonly kind: "ambiguous"; readonly text: string }
  /** The witness itself could not probe (no such program, out of sockets): says nothing of the target. */
  | { readonly kind: "failed"; readonly text: string };

/** One witness's settled opinion of one target. */
export interface Observation {
  readonly target: TargetKey;
  readonly opinion: Opinion;
  readonly evidence: Evidence;
}

/** A whole view as sent to the leader, again and again; a lost one delays and never hides. */
export interface View {
  readonly witness: WitnessId;
  /** Distinguishes lives of the witness process; a new life's sequence starts again. */
  readonly life: number;
  /** Grows with every sending within one life. */
  readonly seq: number;
  /** True while the witness distrusts itself after a stall: all its opinions count as unknown. */
  readonly abstaining: boolean;
  readonly observations: readonly Observation[];
}

/** The quorum's conclusion on one target. */
export interface TargetVerdict {
  readonly target: TargetKey;
  readonly required: boolean;
  readonly verdict: Opinion;
  readonly up: readonly WitnessId[];
  readonly down: readonly WitnessId[];
  readonly unknown: readonly WitnessId[];
  /** Cluster time since which the majority holds this verdict; null when unknown. */
  readonly sinceMs: number | null;
  /** What the witnesses that say down give as evidence. */
  readonly reasons: readonly { readonly witness: WitnessId; readonly text: string }[];
}

/** The quorum's conclusion on one site of one group. */
export interface SiteVerdict {
  readonly site: SiteId;
  readonly verdict: Opinion;
  readonly sinceMs: number | null;
  readonly targets: readonly TargetVerdict[];
}
