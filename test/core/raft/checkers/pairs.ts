/**
 * What must hold between any two members at every instant.
 *
 * Each checker takes an ordered pair (a member with itself too) and says what is wrong, or null. Decisions are
 * remembered with the term in which they were made: a leader must hold what was decided in the terms before its
 * own, while one that was deposed unawares may lack what came after.
 */
import type { Entry } from "../../../../src/core/raft/raft.js";
import { entryAt, lastOn, place, type Seen, sameEntry } from "./seen.js";

/** Says what is wrong between `a` and `b`, or null. */
export type PairChecker = (a: Seen, b: Seen) => string | null;

const electionSafety: PairChecker = (a, b) => {
  if (a.id >= b.id) return null;
  const both = a.led.find((term) => b.led.includes(term));
  return both === undefined ? null : `${a.id} and ${b.id} both led in term ${both}`;
};

/** Equal index and term mean equal logs up to there; looks from the end, since one agreement settles all before. */
function mismatch(a: readonly Entry[], b: readonly Entry[]): string | null {
  if (a === b) return null;
  const first = Math.max(a[0]?.index ?? 1, b[0]?.index ?? 1);
  let agreed: Entry | null = null;
  for (let index = Math.min(a.at(-1)?.index ?? 0, b.at(-1)?.index ?? 0); index >= first; index--) {
    const one = entryAt(a, index);
    const other = entryAt(b, index);
    if (one === other || one === undefined || other === undefined) continue;
    if (sameEntry(one, other)) agreed ??= one;
    else if (one.term === other.term) return `two entries ${place(one)}`;
    else if (agreed !== null) return `both hold ${place(agreed)} after ${place(one)} and ${place(other)}`;
  }
  return null;
}

const logMatching: PairChecker = (a, b) => {
  if (a.id > b.id) return null;
  const wrong =
    mismatch(a.log, b.log) ??
    mismatch(a.log, b.disk.entries) ??
    mismatch(a.disk.entries, b.log) ??
    mismatch(a.disk.entries, b.disk.entries);
  return wrong === null ? null : `logs of ${a.id} and ${b.id}: ${wrong}`;
};

const leaderCompleteness: PairChecker = (a, b) => {
  if (a.state !== "StateLeader") return null;
  for (const decision of b.decided) {
    if (decision === undefined || decision.term >= a.term || decision.entry.index < a.firstIndex) continue;
    const own = entryAt(a.log, decision.entry.index);
    if (own === undefined || !sameEntry(own, decision.entry))
      return `leader ${a.id} of term ${a.term} holds ${place(own)} where ${b.id} had ${place(decision.entry)} committed in term ${decision.term}`;
  }
  return null;
};

const stateMachineSafety: PairChecker = (a, b) => {
  if (a.id >= b.id || a.decided === b.decided) return null;
  const common = Math.min(a.decided.length, b.decided.length);
  for (let i = 0; i < common; i++) {
    const one = a.decided[i]?.entry;
    const other = b.decided[i]?.entry;
    if (one === undefined || other === undefined || sameEntry(one, other)) continue;
    return `${a.id} has ${place(one)} committed, ${b.id} ${place(other)}`;
  }
  return null;
};

const matchIsDurable: PairChecker = (a, b) => {
  if (a.state !== "StateLeader" || a.id === b.id || b.disk.hardState.term !== a.term) return null;
  const progress = a.progress.find(({ id }) => id === b.id);
  const last = lastOn(b.disk);
  if (progress === undefined || progress.match <= last) return null;
  return `leader ${a.id} counts ${progress.match} at ${b.id}, which has ${last} on disk`;
};

/** The configuration is a function of what is applied. */
const configOfLog: PairChecker = (a, b) => {
  // While a snapshot is taken over its configuration is in force before it is applied.
  if (a.id >= b.id || a.applied !== b.applied || a.applied < a.firstIndex - 1 || b.applied < b.firstIndex - 1)
    return null;
  const [one, other] = [JSON.stringify(a.confState), JSON.stringify(b.confState)];
  return one === other ? null : `after entry ${a.applied} ${a.id} has ${one}, ${b.id} ${other}`;
};

/** By the catalogue's names. */
export const PAIRS: Readonly<Record<string, PairChecker>> = {
  "I1 ElectionSafety": electionSafety,
  "I5 LogMatching": logMatching,
  "I6 LeaderCompleteness": leaderCompleteness,
  "I7 StateMachineSafety": stateMachineSafety,
  "I11 MatchIsDurable": matchIsDurable,
  "I13 ConfigOfLog": configOfLog,
};
