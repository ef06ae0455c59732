/**
 * Client sessions: a write that is asked again after an unknown outcome is applied once (dissertation 6.3).
 *
 * A client names itself (a random id, its own choice) and counts its writes from 1; the name rides in the log
 * entry. `apply` keeps, per session, the last number and what became of it. A number that comes again changes
 * nothing and is answered as the first time; an older one is refused; a later one goes on. A session that is
 * not there is new with number 1, and with any other number it was forgotten: then nobody here can tell
 * whether the earlier copy was applied, and the write is refused by name instead of being applied again.
 *
 * The table is bounded by count and by cluster time, and both ways of forgetting follow from the log alone.
 * So the promise has a limit that can be told: a retry is recognised for `SESSION_KEEP_MS` while fewer than
 * `SESSIONS_MAX` other sessions wrote. Refusals are outcomes too, and the leader's own refusal of a write with
 * a name goes through the log (`refuse` in command.ts): else a copy that was delayed could be applied after its
 * client was told for certain that nothing was done.
 */
import type { LogIndex } from "../base/ids.js";
import type { RefusalCode } from "./code.js";
import { type Command, isMemberCommand } from "./command.js";
import type { AuditRecord, SessionKey, SessionRecord, WriteOutcome } from "./state.js";

/** Sessions that are remembered; past it the one that wrote longest ago is forgotten. */
export const SESSIONS_MAX = 512;
/** A session that wrote nothing for so long is forgotten. Unit: ms of cluster time. */
export const SESSION_KEEP_MS = 3_600_000;

/** A refusal as it is recorded. */
export function refusedOutcome(code: RefusalCode, message: string): WriteOutcome {
  return { kind: "refused", code, message };
}

/**
 * What became of the write of that name, or why nobody can tell any more; null when it was not seen yet and
 * is to be decided. The leader asks before it judges, and `apply` asks again.
 */
export function recall(sessions: readonly SessionRecord[], key: SessionKey): WriteOutcome | null {
  const known = sessions.find(({ id }) => id === key.id);
  if (known === undefined) {
    if (key.sequence === 1) return null;
    return refusedOutcome(
      "session_expired",
      `session ${key.id} is not known any more, so nobody can tell here whether its write ${key.sequence} was applied: ` +
        "look at status and history, then ask with a new session",
    );
  }
  if (key.sequence > known.sequence) return null;
  if (key.sequence === known.sequence) return known.outcome;
  return refusedOutcome(
    "session_stale",
    `session ${key.id} has come to its write ${known.sequence}, and what became of write ${key.sequence} is not kept any more: ` +
      "look at history",
  );
}

/** The table without the sessions that are too old at cluster time `nowMs`. */
export function freshSessions(sessions: readonly SessionRecord[], nowMs: number): readonly SessionRecord[] {
  // The oldest stands first and times only grow: what is too old is a run at the beginning.
  const from = sessions.findIndex(({ usedAtMs }) => nowMs - usedAtMs <= SESSION_KEEP_MS);
  return from < 0 ? [] : sessions.slice(from);
}

/** The table with the outcome of a write that `recall` did not know. */
export function remember(
  sessions: readonly SessionRecord[],
  key: SessionKey,
  outcome: WriteOutcome,
  nowMs: number,
): readonly SessionRecord[] {
  const record: SessionRecord = { id: key.id, sequence: key.sequence, usedAtMs: nowMs, outcome };
  return [...sessions.filter(({ id }) => id !== key.id), record].slice(-SESSIONS_MAX);
}

/** What the client is told of a command that was applied at `index`; `reason` is null when it was accepted. */
export function outcomeOf(
  index: LogIndex,
  command: Command,
  records: readonly AuditRecord[],
  reason: string | null,
): WriteOutcome {
  if (command.kind === "refuse") return refusedOutcome(command.code, command.message);
  if (reason !== null) {
    const code = isMemberCommand(command) ? "change_running" : "plan_running";
    return refusedOutcome(code, `the state changed before the request was decided: ${reason}`);
  }
  return {
    kind: "accepted",
    index,
    epoch: command.kind === "decide" ? command.epoch : null,
    message: records.at(-1)?.message ?? "done",
  };
}
