/**
 * The explorations that `npm run explore` goes through.
 *
 * One set of bounds cannot be wide in all directions: each of these is wide in one and narrow in the others, and
 * together they cross what bugs of Raft are made of (SandTable's 23 bugs in 8 systems took 8 to 41 steps, three
 * members, and no more than three or four timeouts). The first are small enough to be finished within seconds.
 */
import { DEFAULTS, type Settings } from "./run.js";

/** One exploration. */
export interface Leg {
  readonly name: string;
  readonly settings: Settings;
}

const leg = (name: string, settings: Partial<Settings>): Leg => ({
  name,
  settings: { ...DEFAULTS, ...settings },
});

/** In this order. */
export const TOUR: readonly Leg[] = [
  leg("three elections", { timeouts: 3, proposals: 0 }),
  leg("elections and a crash", { proposals: 0, crashes: 1, lags: 3, duplicates: 1 }),
  leg("elections with pre-vote", { preVote: true, proposals: 0, crashes: 1, duplicates: 1 }),
  leg("crash of a leader", { from: "led", timeouts: 1, crashes: 1, entriesPerAppend: 1 }),
  leg("change of leader", { from: "led", timeouts: 2 }),
  leg("late messages", { from: "led", timeouts: 1, proposals: 2, heartbeats: 1, duplicates: "any" }),
  leg("slow disks", { from: "led", timeouts: 1, crashes: 1, lags: 4 }),
  leg("change of leader with pre-vote", { from: "led", preVote: true, timeouts: 2, crashes: 1 }),
  leg("long tails", {
    from: "led",
    timeouts: 2,
    proposals: 3,
    crashes: 1,
    entriesPerAppend: 1,
    applyApart: true,
  }),
  leg("change of members", {
    from: "led",
    spares: 1,
    timeouts: 1,
    proposals: 0,
    changes: 2,
    applyApart: true,
  }),
  leg("learners", { from: "led", spares: 1, timeouts: 0, changes: 1 }),
  leg("change of members and leaders", {
    from: "led",
    members: 4,
    spares: 1,
    timeouts: 1,
    changes: 2,
    proposals: 0,
  }),
  leg("late snapshots", {
    from: "led",
    timeouts: 0,
    proposals: 2,
    snapshots: 1,
    duplicates: 1,
    entriesPerAppend: 1,
  }),
];
