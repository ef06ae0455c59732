/**
 * One exploration from its settings to its finding, and findings as text and as a file that can be replayed.
 */
import type { Message } from "../../../../src/core/raft/raft.js";
import { loadRoom } from "./glass.js";
import { CHANGES, Locals, type MemberOptions, messageKey } from "./locals.js";
import { PLANTS } from "./plants.js";
import { explore, type Limits, type Result } from "./search.js";
import { type Action, type Root, unpackAction, World, type WorldOptions } from "./world.js";

/** All that an exploration depends on. */
export interface Settings extends WorldOptions, MemberOptions {
  readonly from: Root;
  /** Name of a bug to plant (plants.ts). */
  readonly plant: string | null;
}

/** A history that breaks something; self-contained. */
export interface Finding {
  readonly settings: Settings;
  readonly broken: string;
  readonly steps: readonly Step[];
}

/** An action as it stands in a file: the message by what it says, not by its number. */
export interface Step {
  readonly kind: Action["kind"];
  readonly member: number;
  readonly nth: number;
  readonly message: string | null;
}

/** What is explored unless told otherwise. */
export const DEFAULTS: Settings = {
  members: 3,
  spares: 0,
  preVote: false,
  checkQuorum: false,
  entriesPerAppend: 0,
  timeouts: 2,
  heartbeats: 0,
  proposals: 1,
  crashes: 0,
  lags: 0,
  drops: 0,
  duplicates: 0,
  changes: 0,
  snapshots: 0,
  applyApart: false,
  from: "new",
  plant: null,
};

/** A cluster for `settings`, made of the real code. */
export async function openWorld(settings: Settings): Promise<World> {
  const plant = settings.plant === null ? undefined : PLANTS[settings.plant];
  if (settings.plant !== null && plant === undefined)
    throw new Error(`--plant ${settings.plant}: unknown; one of ${Object.keys(PLANTS).join(", ")}`);
  const room = await loadRoom(plant?.edits ?? []);
  return new World(new Locals(room, settings), settings);
}

/** Explores; what it found is ready to be printed and kept. */
export async function run(
  settings: Settings,
  limits: Limits,
): Promise<Omit<Result, "violation"> & { readonly finding: Finding | null }> {
  const world = await openWorld(settings);
  const { violation, ...result } = explore(world, world.root(settings.from), limits);
  if (violation === null) return { ...result, finding: null };
  const steps = violation.actions.map((action) => toStep(world, action));
  return { ...result, finding: { settings, broken: violation.broken, steps } };
}

const carries = (kind: Action["kind"]): boolean => kind === "deliver" || kind === "again" || kind === "drop";

function toStep(world: World, { kind, member, message }: Action): Step {
  const m = carries(kind) ? world.locals.messages[message] : undefined;
  return { kind, member, nth: message, message: m === undefined ? null : messageKey(m) };
}

/** Takes the steps of `finding` again, line by line; ends with what is broken, or says that nothing is. */
export async function replay(finding: Finding, print: (line: string) => void): Promise<boolean> {
  const world = await openWorld(finding.settings);
  let row: readonly number[] = world.root(finding.settings.from);
  print(describe(world, row));
  for (const [i, step] of finding.steps.entries()) {
    const wanted = (action: Action): boolean => {
      if (action.kind !== step.kind || action.member !== step.member) return false;
      if (step.message === null) return carries(step.kind) || action.message === step.nth;
      const m = world.locals.messages[action.message];
      return m !== undefined && messageKey(m) === step.message;
    };
    let after: readonly number[] | null = null;
    let broken: string | null = null;
    let what = "";
    world.expand(row, (next, code, wrong) => {
      const action = unpackAction(code);
      if (after !== null || !wanted(action)) return;
      after = next;
      broken = wrong;
      what = nameOf(world, action);
    });
    if (after === null) {
      print(`${i + 1}. ${step.kind} at ${step.member} is not possible here: the code has changed since`);
      return false;
    }
    print(`${i + 1}. ${what}`);
    row = after;
    print(describe(world, row));
    if (broken !== null) {
      print(`broken: ${broken}`);
      return true;
    }
  }
  print("nothing is broken");
  return false;
}

function nameOf(world: World, action: Action): string {
  const { kind, member, message } = action;
  const m = carries(kind) ? world.locals.messages[message] : undefined;
  if (m !== undefined) {
    const how = kind === "again" ? " (and keep a copy)" : kind === "drop" ? " (lost)" : "";
    return `${messageText(m)}${how}`;
  }
  if (kind === "change") return `${member} proposes ${CHANGES[message]?.[0]}`;
  if (kind === "propose") return `${member} proposes ${String.fromCharCode(97 + message)}`;
  const verbs: Partial<Record<Action["kind"], string>> = {
    timeout: "'s election timer runs out",
    heartbeat: " sends heartbeats",
    crash: " loses power and restarts from its disk",
    write: "'s oldest write is done",
    apply: " applies",
    compact: " takes a snapshot and drops its log",
  };
  return `${member}${verbs[kind] ?? ` ${kind}`}`;
}

function messageText(m: Message): string {
  const entries = m.entries.map((e) => `${e.term}/${e.index}`).join(" ");
  const parts = [
    `${m.type} ${m.from}->${m.to} term ${m.term}`,
    m.index > 0 || m.logTerm > 0 ? `log ${m.logTerm}/${m.index}` : "",
    entries === "" ? "" : `entries ${entries}`,
    m.commit > 0 ? `commit ${m.commit}` : "",
    m.snapshot !== null ? `snapshot ${m.snapshot.term}/${m.snapshot.index}` : "",
    m.reject ? `rejected, hint ${m.rejectHint}` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** One line a member. */
function describe(world: World, row: readonly number[]): string {
  const lines: string[] = [];
  for (let member = 1; member < row.length && member <= world.members; member++) {
    const { seen, appends } = world.local(row, member);
    const log = seen.log.map((e) => e.term).join(" ");
    const disk = seen.disk.entries.map((e) => e.term).join(" ");
    const { term, vote } = seen.disk.hardState;
    const role = seen.state.slice(5).toLowerCase();
    lines.push(
      `     ${member} ${role} term ${seen.term} commit ${seen.commit} log [${log}]` +
        ` | disk term ${term} vote ${vote} log [${disk}]${appends.length > 0 ? ` + ${appends.length} writes under way` : ""}`,
    );
  }
  return lines.join("\n");
}
