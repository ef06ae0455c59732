/**
 * What one command does to the state, before it is stamped: the common words of the apply-*.ts files.
 */
import type { Epoch, LogIndex, WitnessId } from "../base/ids.js";
import type { AuditKind, GroupState, State, StepName } from "./state.js";

/** The stamp under which a command is applied. */
export interface Stamp {
  readonly index: LogIndex;
  /** Cluster time, already made to grow. */
  readonly nowMs: number;
  readonly wallMs: number;
  readonly leader: WitnessId;
}

/** An audit record without its stamp. */
export interface Told {
  readonly kind: AuditKind;
  readonly group: string | null;
  readonly epoch: Epoch | null;
  readonly step: StepName | null;
  readonly message: string;
  readonly detail: readonly string[];
}

export type Change =
  | { readonly kind: "changed"; readonly state: State; readonly told: readonly Told[] }
  /** The compare-and-set failed: nothing changes; `reason` says what did not match. */
  | { readonly kind: "refused"; readonly reason: string };

/** The compare-and-set failed. */
export function refused(reason: string): Change {
  return { kind: "refused", reason };
}

/** The state with one group replaced, and what is told of it. */
export function withGroup(state: State, group: GroupState, ...told: readonly Told[]): Change {
  return { kind: "changed", state: { ...state, groups: { ...state.groups, [group.id]: group } }, told };
}
