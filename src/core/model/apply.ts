/**
 * `apply`: the fold of the replicated log into the replicated state. The one place where the state changes.
 *
 * A command is a wish of some leader, and may be committed by that leader's successor; so each is judged
 * again here, by compare-and-set against the state that it finds, and what no longer fits is a no-op with a
 * reason. Apply is total (bytes that make no sense are refused by the name of the wrong field), uses nothing
 * but its arguments, and so gives every witness the same state to the byte.
 *
 * Invariants: cluster time, indices and epochs only grow; at most one plan of a group runs; at most one site holds a
 * group's ticket, under the epoch of the plan that granted it.
 */
import type { LogIndex, Term } from "../base/ids.js";
import { configure } from "./apply-config.js";
import { hold, note, resume } from "./apply-group.js";
import { begin, close, decide, finish, grant } from "./apply-plan.js";
import { observe, stale } from "./apply-view.js";
import { type Change, refused, type Stamp } from "./change.js";
import type { Command, Envelope } from "./command.js";
import { envelopeFlaw } from "./command-shape.js";
import { type AuditRecord, HISTORY_MAX, type State } from "./state.js";

/** What applying one entry did. */
export interface Applied {
  readonly state: State;
  /** The new records of `state.history`, for watchers. */
  readonly records: readonly AuditRecord[];
  /** False: the compare-and-set failed; the command was a no-op. */
  readonly accepted: boolean;
  /** Why it was refused; empty when accepted. */
  readonly reason: string;
}

/** Applies a command at its place in the log. Total on arbitrary envelopes, never throws. */
export function apply(
  state: State,
  at: { readonly index: LogIndex; readonly term: Term },
  envelope: Envelope,
): Applied {
  const base = applyEmpty(state, at);
  const flaw = envelopeFlaw(envelope);
  if (flaw !== null) return { state: base, records: [], accepted: false, reason: `malformed: ${flaw}` };
  const nowMs = Math.max(base.clusterTimeMs, envelope.atMs);
  const stamp: Stamp = { index: at.index, nowMs, wallMs: envelope.wallMs, leader: envelope.leader };
  const stamped: State = { ...base, clusterTimeMs: nowMs };
  const change = changeOf(stamped, stamp, envelope.command);
  if (change.kind === "refused") {
    return { state: stamped, records: [], accepted: false, reason: change.reason };
  }
  const records = change.told.map(
    (told, seq): AuditRecord => ({
      index: at.index,
      seq,
      term: at.term,
      atMs: nowMs,
      wallMs: envelope.wallMs,
      leader: envelope.leader,
      ...told,
    }),
  );
  const history =
    records.length === 0 ? change.state.history : [...change.state.history, ...records].slice(-HISTORY_MAX);
  return { state: { ...change.state, history }, records, accepted: true, reason: "" };
}

/** Applies Raft's own empty entry, with which each leader begins: only the position moves. */
export function applyEmpty(state: State, at: { readonly index: LogIndex; readonly term: Term }): State {
  return { ...state, appliedIndex: at.index, appliedTerm: at.term };
}

function changeOf(state: State, stamp: Stamp, command: Command): Change {
  switch (command.kind) {
    case "configure":
      return configure(state, stamp, command);
    case "observe":
      return observe(state, stamp, command);
    case "stale":
      return stale(state, stamp, command);
    case "decide":
      return decide(state, stamp, command);
    case "begin":
      return begin(state, stamp, command);
    case "finish":
      return finish(state, stamp, command);
    case "grant":
      return grant(state, stamp, command);
    case "close":
      return close(state, stamp, command);
    case "hold":
      return hold(state, command);
    case "resume":
      return resume(state, command);
    case "note":
      return note(state, command);
    case "noop":
      return { kind: "changed", state, told: [] };
    default:
      return refused(`unknown command ${String((command as { kind?: unknown }).kind)}`);
  }
}
