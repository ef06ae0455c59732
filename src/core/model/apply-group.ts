/**
 * `hold`, `resume` and `note`: what people say about a group, and what the leader notes without acting.
 *
 * A hold stops new automatic decisions and nothing else: a plan that runs goes on to its end, because a half-done
 * switch is worse than either side of it.
 */
import { type Change, refused, type Told, withGroup } from "./change.js";
import type { Command } from "./command.js";
import { own } from "./group.js";
import type { GroupState, State } from "./state.js";

type Of<K extends Command["kind"]> = Extract<Command, { kind: K }>;

/** Stops automatic decisions; a second hold replaces the reason of the first. */
export function hold(state: State, command: Of<"hold">): Change {
  const group = own(state.groups, command.group);
  if (group === undefined) return refused(`no group ${command.group} is configured`);
  const holdReason = command.reason === "" ? command.by : `${command.by}: ${command.reason}`;
  return withGroup(
    state,
    { ...group, mode: "hold", holdReason },
    told(group, "hold", `${group.id} is on hold (${holdReason})`),
  );
}

/** Allows automatic decisions again, and forgives the sites that a failed failover left behind. */
export function resume(state: State, command: Of<"resume">): Change {
  const group = own(state.groups, command.group);
  if (group === undefined) return refused(`no group ${command.group} is configured`);
  if (group.mode !== "hold" && group.failedSites.length === 0) {
    return refused(`${command.group} is not on hold and has no failed site`);
  }
  const forgiven = group.failedSites.length === 0 ? "" : `; forgiven: ${group.failedSites.join(", ")}`;
  return withGroup(
    state,
    { ...group, mode: "automatic", holdReason: null, failedSites: [] },
    told(group, "resume", `${group.id} decides by itself again (${command.by})${forgiven}`),
  );
}

/** Records a standing reason for not acting, once. */
export function note(state: State, command: Of<"note">): Change {
  const group = own(state.groups, command.group);
  if (group === undefined) return refused(`no group ${command.group} is configured`);
  if (group.notedCode === command.code) return refused(`${command.code ?? "nothing"} is noted already`);
  const over = command.code === null ? `no longer ${group.notedCode}; ` : "";
  return withGroup(
    state,
    { ...group, notedCode: command.code },
    told(group, "note", `${group.id}: ${over}${command.message}`, command.evidence),
  );
}

function told(
  group: GroupState,
  kind: "hold" | "resume" | "note",
  message: string,
  detail: readonly string[] = [],
): Told {
  return { kind, group: group.id, epoch: null, step: null, message, detail };
}
