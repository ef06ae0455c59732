/**
 * The whole cluster as one row of numbers, and every step that can be taken from it.
 *
 * A state is: the number of each member's local state, the budgets that are left, and the messages in flight,
 * sorted. A message may be delivered in any order, and one that is never delivered is lost; so reordering and
 * loss cost nothing and need no step of their own. With `duplicates: "any"` a message stays in flight after
 * its delivery for ever (the network is then a set: what was sent once may arrive any number of times, at any
 * time); with a number, a delivery takes it out but for that many times.
 *
 * What is not explored, and why nothing is missed by it:
 * - A delivery that changes nothing and sends nothing. The state without that message can do nothing that the one
 *   with it cannot.
 * - The first election timeout at another member than 1: all members are alike then.
 * - A crash as two steps, down and up: a member that is down is one that hears nothing for a while.
 */
import { PAIRS } from "../checkers/pairs.js";
import { committedOnQuorum, electedByQuorum } from "../checkers/quorum.js";
import type { Seen } from "../checkers/seen.js";
import {
  APPLY,
  CHANGE,
  CHANGES,
  COMPACT,
  CRASH,
  DELIVER,
  HEARTBEAT,
  type Local,
  type Locals,
  PROPOSE,
  TIMEOUT,
  WRITE,
} from "./locals.js";

/** How often each thing may happen in one history. At most 15 each. */
export interface Budgets {
  readonly timeouts: number;
  readonly heartbeats: number;
  readonly proposals: number;
  readonly crashes: number;
  /** Inputs that a member may take while a write of its own is under way; with 0, each write is done at once. */
  readonly lags: number;
  readonly drops: number;
  readonly duplicates: number | "any";
  /** Changes of the configuration; at most 3. */
  readonly changes: number;
  /** Snapshots with compaction; at most 1. */
  readonly snapshots: number;
}

/** How a history is bounded, and what is done at once. */
export interface WorldOptions extends Budgets {
  readonly members: number;
  /** Applying is a step of its own; else it is done at once. */
  readonly applyApart: boolean;
}

/** Where histories begin. */
export type Root = "new" | "led";

/** The kinds of step. */
export type Kind =
  | "timeout"
  | "heartbeat"
  | "propose"
  | "crash"
  | "write"
  | "apply"
  | "deliver"
  | "again"
  | "drop"
  | "change"
  | "compact";
const KINDS: readonly Kind[] = [
  "timeout",
  "heartbeat",
  "propose",
  "crash",
  "write",
  "apply",
  "deliver",
  "again",
  "drop",
  "change",
  "compact",
];

/** One step: of what kind, at which member (1-based), with which message (by number). */
export interface Action {
  readonly kind: Kind;
  readonly member: number;
  readonly message: number;
}

const BUDGETS = [
  "timeouts",
  "heartbeats",
  "proposals",
  "crashes",
  "lags",
  "drops",
  "duplicates",
  "changes",
  "snapshots",
] as const;
const SHIFT = Object.fromEntries(
  BUDGETS.map((name, i) => [name, name === "snapshots" ? 30 : 4 * i]),
) as Record<(typeof BUDGETS)[number], number>;

/** How much of `name` is left: four bits each, two for the changes and one for the snapshots make 31. */
function left(budgets: number, name: (typeof BUDGETS)[number]): number {
  return (budgets >> SHIFT[name]) & (name === "snapshots" ? 1 : name === "changes" ? 3 : 15);
}

/** `Action` as one number. */
export function packAction({ kind, member, message }: Action): number {
  return (message * 16 + KINDS.indexOf(kind)) * 8 + member;
}

export function unpackAction(code: number): Action {
  const kind = KINDS[Math.floor(code / 8) % 16];
  if (kind === undefined) throw new Error(`no action ${code}`);
  return { kind, member: code % 8, message: Math.floor(code / 128) };
}

/** A state reached by a step, and what it breaks. */
export type Visit = (row: readonly number[], action: number, broken: string | null) => void;

export class World {
  readonly locals: Locals;
  readonly #options: WorldOptions;
  /** Members, budgets, then messages. */
  readonly #head: number;
  readonly #untouched: readonly number[];

  constructor(locals: Locals, options: WorldOptions) {
    this.locals = locals;
    this.#options = options;
    this.#head = options.members + 1;
    this.#untouched = Array.from({ length: options.members }, (_, i) => locals.initial(i + 1).number);
  }

  /** Where to begin: nobody has ever run, or member 1 leads and all have its first entry, with nothing in flight. */
  root(from: Root): number[] {
    if (from === "new") return [...this.#untouched, this.#budgets()];
    let row: readonly number[] = [...this.#untouched, 1 << SHIFT.timeouts];
    let after = this.#first(row, "timeout");
    for (let steps = 0; after !== null; steps++) {
      if (steps > 1000) throw new Error("the first election does not end");
      row = after;
      after = this.#first(row, "write", "apply", "deliver");
    }
    if (!this.local(row, 1).leads) throw new Error("member 1 does not lead after its campaign");
    return [...row.slice(0, this.#head - 1), this.#budgets()];
  }

  /** The first step of these kinds that changes anything. */
  #first(row: readonly number[], ...kinds: readonly Kind[]): readonly number[] | null {
    let found: readonly number[] | null = null;
    this.expand(row, (after, action, broken) => {
      if (found !== null || !kinds.includes(unpackAction(action).kind)) return;
      if (broken !== null) throw new Error(`while electing the first leader: ${broken}`);
      if (after.length !== row.length || after.some((n, i) => n !== row[i])) found = after;
    });
    return found;
  }

  #budgets(): number {
    let budgets = 0;
    for (const name of BUDGETS) {
      const budget = this.#options[name];
      budgets += (budget === "any" ? 0 : budget) << SHIFT[name];
    }
    return budgets;
  }

  get members(): number {
    return this.#options.members;
  }

  /** The state of one member (1-based). */
  local(row: readonly number[], member: number): Local {
    const local = this.locals.byNumber[row[member - 1] ?? -1];
    if (local === undefined) throw new Error(`no local state of member ${member}`);
    return local;
  }

  /** Takes every step that can be taken from `row`. */
  expand(row: readonly number[], visit: Visit): void {
    const { members, applyApart } = this.#options;
    const budgets = row[members] ?? 0;
    const has = (name: (typeof BUDGETS)[number]) => left(budgets, name) > 0;
    const untouched = this.#untouched.every((local, i) => row[i] === local);
    for (let member = 1; member <= members; member++) {
      const local = this.local(row, member);
      const writing = local.appends.length > 0;
      if (writing) this.#step(row, { kind: "write", member, message: 0 }, WRITE, 0, visit);
      if (applyApart && local.applies.length > 0)
        this.#step(row, { kind: "apply", member, message: 0 }, APPLY, 0, visit);
      if (writing && !has("lags")) continue;
      const lag = writing ? 1 << SHIFT.lags : 0;
      if (has("timeouts") && !local.leads && (!untouched || member === 1))
        this.#step(row, { kind: "timeout", member, message: 0 }, TIMEOUT, lag + (1 << SHIFT.timeouts), visit);
      if (has("heartbeats") && local.leads)
        this.#step(
          row,
          { kind: "heartbeat", member, message: 0 },
          HEARTBEAT,
          lag + (1 << SHIFT.heartbeats),
          visit,
        );
      if (has("proposals") && local.leads) {
        const nth = this.#options.proposals - left(budgets, "proposals");
        this.#step(
          row,
          { kind: "propose", member, message: nth },
          PROPOSE + nth,
          lag + (1 << SHIFT.proposals),
          visit,
        );
      }
      if (has("changes") && local.leads)
        for (const nth of CHANGES.keys())
          this.#step(
            row,
            { kind: "change", member, message: nth },
            CHANGE + nth,
            lag + (1 << SHIFT.changes),
            visit,
          );
      if (has("snapshots"))
        this.#step(
          row,
          { kind: "compact", member, message: 0 },
          COMPACT,
          lag + (1 << SHIFT.snapshots),
          visit,
        );
      if (has("crashes"))
        this.#step(row, { kind: "crash", member, message: 0 }, CRASH, lag + (1 << SHIFT.crashes), visit);
    }
    this.#deliveries(row, has, visit);
  }

  #deliveries(row: readonly number[], has: (name: (typeof BUDGETS)[number]) => boolean, visit: Visit): void {
    let before = -1;
    for (let at = this.#head; at < row.length; at++) {
      const message = row[at] ?? -1;
      if (message === before) continue;
      before = message;
      const member = Number(this.locals.messages[message]?.to);
      const writing = this.local(row, member).appends.length > 0;
      const lag = writing ? 1 << SHIFT.lags : 0;
      if (!writing || has("lags")) {
        this.#step(row, { kind: "deliver", member, message }, DELIVER + message, lag, visit);
        if (has("duplicates"))
          this.#step(
            row,
            { kind: "again", member, message },
            DELIVER + message,
            lag + (1 << SHIFT.duplicates),
            visit,
          );
      }
      if (has("drops")) {
        const rest = row.slice();
        rest.splice(at, 1);
        rest[this.#head - 1] = (rest[this.#head - 1] ?? 0) - (1 << SHIFT.drops);
        visit(rest, packAction({ kind: "drop", member, message }), null);
      }
    }
  }

  /** One step of one member, and what it does at once after it. */
  #step(row: readonly number[], action: Action, event: number, cost: number, visit: Visit): void {
    const { member } = action;
    const before = this.local(row, member);
    const first = this.locals.on(before, event);
    const delivery = event >= DELIVER;
    if (delivery && first.next === before && first.sent.length === 0 && first.broken === null) return;
    let { next, broken } = first;
    let sent = first.sent;
    while (broken === null) {
      const now =
        next.appends.length > 0 && this.#options.lags === 0
          ? WRITE
          : next.applies.length > 0 && !this.#options.applyApart
            ? APPLY
            : null;
      if (now === null) break;
      const more = this.locals.on(next, now);
      next = more.next;
      broken = more.broken;
      if (more.sent.length > 0) sent = [...sent, ...more.sent];
    }
    const after = row.slice();
    after[member - 1] = next.number;
    after[this.#head - 1] = (after[this.#head - 1] ?? 0) - cost;
    const once = this.#options.duplicates === "any";
    if (action.kind === "deliver" && !once) after.splice(after.indexOf(action.message, this.#head), 1);
    for (const message of sent) insert(after, this.#head, message, once);
    visit(after, packAction(action), broken ?? (next === before ? null : this.#check(after, before, next)));
  }

  #check(row: readonly number[], before: Local, after: Local): string | null {
    const { members } = this.#options;
    let known = 0;
    const all: Seen[] = [];
    for (let member = 1; member <= members; member++) {
      const { seen } = this.local(row, member);
      all.push(seen);
      known = Math.max(known, member === after.seen.id ? before.seen.decided.length : seen.decided.length);
      for (const [name, check] of CHECKS) {
        const wrong = check(seen, after.seen) ?? (seen === after.seen ? null : check(after.seen, seen));
        if (wrong !== null) return `${name}: ${wrong}`;
      }
    }
    if (after.leads && !before.leads) {
      const unelected = electedByQuorum(all, after.seen, before.seen.confState);
      if (unelected !== null) return `I13 ElectedByQuorum: ${unelected}`;
    }
    if (after.seen.commit <= known) return null;
    // Counted in the configuration before the step, or in that which the step brought into force.
    const wrong =
      committedOnQuorum(all, after.seen, known, before.seen.confState) &&
      committedOnQuorum(all, after.seen, known, after.seen.confState);
    return wrong === null ? null : `I8 CommittedOnQuorum: ${wrong}`;
  }
}

const CHECKS = Object.entries(PAIRS);

/** Puts `message` in its place in the sorted end of `row`; not twice if `once`. */
function insert(row: number[], from: number, message: number, once: boolean): void {
  let at = row.length;
  while (at > from && (row[at - 1] ?? 0) > message) at--;
  if (once && at > from && row[at - 1] === message) return;
  row.splice(at, 0, message);
}
