/**
 * The state that a log comes to, without a running witness: for the one that is left of a lost majority.
 */
import { apply, applyEmpty } from "../model/apply.js";
import { decodeEnvelope } from "../model/command.js";
import type { State } from "../model/state.js";
import { decodeConfChange, isConfChange } from "../raft/raft.js";
import type { Entry } from "../raft/types.js";

/** Applies those of `entries` that come after what `state` holds, as the replica does; `{error}` names a bad entry. */
export function foldLog(state: State, entries: readonly Entry[]): State | { readonly error: string } {
  let folded = state;
  for (const entry of entries) {
    if (entry.index <= folded.appliedIndex) continue;
    const at = { index: entry.index, term: entry.term };
    if (entry.index !== folded.appliedIndex + 1)
      return { error: `entry ${entry.index} stands after ${folded.appliedIndex}` };
    const change = isConfChange(entry.type) ? decodeConfChange(entry) : null;
    if (change !== null && "error" in change)
      return { error: `entry ${entry.index} is no change of the members: ${change.error}` };
    const bytes = change === null ? entry.data : change.context;
    if (bytes.length === 0) {
      folded = applyEmpty(folded, at);
      continue;
    }
    const envelope = decodeEnvelope(bytes);
    if ("error" in envelope) return { error: `entry ${entry.index}: ${envelope.error}` };
    folded = apply(folded, at, envelope).state;
  }
  return folded;
}
