/**
 * `apply`: the fold of the replicated log into the replicated state. The one place where the state changes.
 *
 * A command is a wish of some leader, and may be committed by that leader's successor; so each is judged
 * again here, by compare-and-set against the state that it finds, and what no longer fits is a no-op with a
 * reason. Apply is total (bytes that make no sense are refused by the name of the wrong field), uses nothing
 * but its arguments, and so gives every witness the same state to the byte.
 *
 * Invariants: cluster time, indices and epochs only grow; at most one plan of a group runs; at most one site holds a
 * group's ticket, under the epoch of the plan that granted it; a write that its client named is applied at most once.
 */
import type { LogIndex, Term } from "../base/ids.js";
import { configure } from "./apply-config.js";
import { hold, note, resume } from "./apply-group.js";
import { memberAdd, memberBind, memberPromote, memberRemove } from "./apply-members.js";
import { begin, close, decide, finish, grant } from "./apply-plan.js";
import { observe, stale } from "./apply-view.js";
import { type Change, refused, type Stamp } from "./change.js";
import type { Command, Envelope } from "./command.js";
import { envelopeFlaw } from "./command-shape.js";
import { freshSessions, outcomeOf, recall, refusedOutcome, remember } from "./sessions.js";
import { type AuditRecord, HISTORY_MAX, type State, type WriteOutcome } from "./state.js";

/** What applying one entry did. */
export interface Applied {
  readonly state: State;
  /** The new records of `state.history`, for watchers. */
  readonly records: readonly AuditRecord[];
  /** False: the compare-and-set failed; the command was a no-op. */
  readonly accepted: boolean;
  /** Why it was refused; empty when accepted. */
  readonly reason: string;
  /** What whoever asked for it is told; of a repeated write, what was told the first time. */
  readonly outcome: WriteOutcome;
}

/** Applies a command at its place in the log. Total on arbitrary envelopes, never throws. */
export function apply(
  state: State,
  at: { readonly index: LogIndex; readonly term: Term },
  envelope: Envelope,
): Applied {
  const base = applyEmpty(state, at);
  const flaw = envelopeFlaw(envelope);
  if (flaw !== null) {
    const reason = `malformed: ${flaw}`;
    return { state: base, records: [], accepted: false, reason, outcome: refusedOutcome("invalid", reason) };
  }
  const nowMs = Math.max(base.clusterTimeMs, envelope.atMs);
  const stamped: State = { ...base, clusterTimeMs: nowMs };
  const { session } = envelope;
  if (session === undefined) return decided(stamped, at, envelope);
  const sessions = freshSessions(stamped.sessions, nowMs);
  const known = recall(sessions, session);
  if (known !== null) {
    const reason = `write ${session.sequence} of session ${session.id} is settled or forgotten`;
    return { state: stamped, records: [], accepted: false, reason, outcome: known };
  }
  const applied = decided(stamped, at, envelope);
  const remembered = remember(sessions, session, applied.outcome, nowMs);
  return { ...applied, state: { ...applied.state, sessions: remembered } };
}

/** A command that is neither malformed nor a repetition, on the state that has its stamp already. */
function decided(
  state: State,
  at: { readonly index: LogIndex; readonly term: Term },
  envelope: Envelope,
): Applied {
  const { command, leader, wallMs } = envelope;
  const nowMs = state.clusterTimeMs;
  const change = changeOf(state, { index: at.index, nowMs, wallMs, leader }, command);
  if (change.kind === "refused") {
    const outcome = outcomeOf(at.index, command, [], change.reason);
    return { state, records: [], accepted: false, reason: change.reason, outcome };
  }
  const records = change.told.map(
    (told, seq): AuditRecord => ({
      index: at.index,
      seq,
      term: at.term,
      atMs: nowMs,
      wallMs,
      leader,
      ...told,
    }),
  );
  const history =
    records.length === 0 ? change.state.history : [...change.state.history, ...records].slice(-HISTORY_MAX);
  const outcome = outcomeOf(at.index, command, records, null);
  return { state: { ...change.state, history }, records, accepted: true, reason: "", outcome };
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
    case "member_add":
      return memberAdd(state, stamp, command);
    case "member_promote":
      return memberPromote(state, stamp, command);
    case "member_remove":
      return memberRemove(state, stamp, command);
    case "member_bind":
      return memberBind(state, command);
    case "refuse":
      return refused(command.message);
    default:
      return refused(`unknown command ${String((command as { kind?: unknown }).kind)}`);
  }
}
