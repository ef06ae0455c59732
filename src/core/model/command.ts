/**
 * The commands of the replicated log, and their bytes.
 *
 * A command is a wish that the leader wrote down; whether it still makes sense is decided again when it is applied
 * (compare-and-set on epoch, step and attempt), because a deposed leader's wishes may be committed by its successor.
 * Encoding is JSON in UTF-8 with a leading version byte: readable in a dump, stable across releases; decoding is
 * total, and what it does not understand is refused by name rather than applied in part.
 */
import { type Epoch, isCount, type SiteId, type WitnessId } from "../base/ids.js";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.js";
import type { RefusalCode } from "./code.js";
import type { ClusterConfig } from "./config.js";
import type { MemberCommand } from "./members.js";
import type { Observation } from "./observation.js";
import type { PlanKind, SessionKey, StepKey, StepName, StepOutcome } from "./state.js";

export type Command =
  | MemberCommand
  /** The leader's document replaces an older version. */
  | { readonly kind: "configure"; readonly config: ClusterConfig; readonly hash: string }
  /** What changed in one witness's view. */
  | {
      readonly kind: "observe";
      readonly witness: WitnessId;
      readonly abstaining: boolean;
      readonly observations: readonly Observation[];
    }
  /** A witness has not been heard of for `viewTimeoutMs`. */
  | { readonly kind: "stale"; readonly witness: WitnessId }
  /**
   * Decided: revoke the ticket and run a plan. Applies only while `epoch` is the group's `lastEpoch` + 1 and
   * no plan runs.
   */
  | {
      readonly kind: "decide";
      readonly group: string;
      readonly epoch: Epoch;
      readonly plan: PlanKind;
      readonly from: SiteId | null;
      readonly to: SiteId;
      readonly steps: readonly StepName[];
      readonly reason: string;
      readonly evidence: readonly string[];
      readonly by: string;
    }
  | { readonly kind: "begin"; readonly key: StepKey; readonly leader: WitnessId }
  /** `next`: this outcome lets the plan go on to the next step. */
  | { readonly kind: "finish"; readonly key: StepKey; readonly outcome: StepOutcome; readonly next: boolean }
  /** The ticket of `epoch` goes to the plan's target. */
  | { readonly kind: "grant"; readonly group: string; readonly epoch: Epoch; readonly site: SiteId }
  | {
      readonly kind: "close";
      readonly group: string;
      readonly epoch: Epoch;
      readonly status: "done" | "failed" | "rolled_back";
      readonly reason: string;
      /** A person is needed: the group is put on hold with this reason; null leaves the mode alone. */
      readonly hold: string | null;
    }
  | { readonly kind: "hold"; readonly group: string; readonly by: string; readonly reason: string }
  | { readonly kind: "resume"; readonly group: string; readonly by: string }
  /** Why nothing is done although something is wrong; audit only. */
  | {
      readonly kind: "note";
      readonly group: string;
      /** Null: what was noted is over. */
      readonly code: string | null;
      readonly message: string;
      readonly evidence: readonly string[];
    }
  /** Replicated like any other and without effect: exercises the log (model/admin.ts, `ExerciseRequest`). */
  | { readonly kind: "noop"; readonly data: string }
  /** The leader refused a write that has a name: changes nothing, and settles what that name is answered. */
  | { readonly kind: "refuse"; readonly code: RefusalCode; readonly message: string };

/** Whether the command is one of those that change who takes part in the log. */
export function isMemberCommand(command: Command): command is MemberCommand {
  return command.kind.startsWith("member_");
}

/** What stands in a log entry: the command, the leader's stamp, and who waits for it. */
export interface Envelope {
  /** Cluster time (docs/adr/0004). Unit: ms. */
  readonly atMs: number;
  /** Wall clock of the leader, for people. Unit: ms since 1970. */
  readonly wallMs: number;
  readonly leader: WitnessId;
  /** Id of the request that this answers, or null. */
  readonly request: string | null;
  /** The client's own name for this write; absent when it gave none (sessions.ts). */
  readonly session?: SessionKey;
  readonly command: Command;
}

const FORMAT = 1;

/** The bytes of a log entry. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const text = encodeUtf8(JSON.stringify(envelope));
  const bytes = new Uint8Array(text.length + 1);
  bytes[0] = FORMAT;
  bytes.set(text, 1);
  return bytes;
}

/** The envelope of a log entry; `{error}` names what is wrong with bytes that no release of ours wrote. */
export function decodeEnvelope(bytes: Uint8Array): Envelope | { readonly error: string } {
  if (bytes[0] !== FORMAT) {
    return { error: `command format ${bytes[0] ?? "none"} is not ${FORMAT}: written by a newer release?` };
  }
  const text = decodeUtf8(bytes.subarray(1));
  if (text === null) return { error: "command is not UTF-8" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { error: "command is not JSON" };
  }
  const envelope = value as Partial<Envelope> | null;
  if (
    envelope === null ||
    typeof envelope !== "object" ||
    !isCount(envelope.atMs) ||
    typeof envelope.wallMs !== "number" ||
    typeof envelope.leader !== "string" ||
    typeof envelope.command?.kind !== "string"
  ) {
    return { error: "command lacks its stamp, leader or kind" };
  }
  return envelope as Envelope;
}
