/**
 * What one member must keep to by itself, from one instant to the next.
 *
 * Each checker takes the member before and after one event and what it sent meanwhile, and says what is wrong,
 * or null. The names are those of the usual catalogue of Raft's invariants (paper, figure 3, and what has to be
 * added for members that crash).
 */
import type { Message } from "../../../../src/core/raft/raft.js";
import { type DiskView, entryAt, lastOn, place, type Seen, sameEntry } from "./seen.js";

/** One member over one event. */
export interface Change {
  readonly before: Seen;
  readonly after: Seen;
  /** What entered the network. */
  readonly sent: readonly Message[];
  /** The event was a crash and restart: what was not on disk may be gone. */
  readonly crashed: boolean;
}

/** Says what is wrong, or null. */
export type LocalChecker = (change: Change) => string | null;

const termMonotonic: LocalChecker = ({ before, after, crashed }) => {
  const durable = [before.disk.hardState.term, after.disk.hardState.term] as const;
  if (durable[1] < durable[0]) return `durable term went back from ${durable[0]} to ${durable[1]}`;
  if (!crashed && after.term < before.term) return `term went back from ${before.term} to ${after.term}`;
  return after.term < durable[1] ? `term ${after.term} is behind the durable ${durable[1]}` : null;
};

const oneVotePerTerm: LocalChecker = ({ after: { votes } }) => {
  for (const { term, to } of votes) {
    const other = votes.find((vote) => vote.term === term && vote.to !== to);
    if (other !== undefined) return `votes for ${to} and ${other.to} in term ${term}`;
  }
  return null;
};

const leaderAppendOnly: LocalChecker = ({ before, after }) => {
  if (before.state !== "StateLeader" || after.state !== "StateLeader" || before.term !== after.term)
    return null;
  if (before.log === after.log) return null;
  const lost = before.log.find((entry) => {
    const now = entryAt(after.log, entry.index);
    // Gone from the front is compacted, gone from the end is lost.
    return now === undefined ? entry.index >= after.firstIndex : !sameEntry(now, entry);
  });
  return lost === undefined ? null : `leader of term ${after.term} changed its entry ${place(lost)}`;
};

const order: LocalChecker = ({ before, after, crashed }) => {
  const { commit, applied, lastIndex } = after;
  if (applied > commit || commit > lastIndex)
    return `out of order: applied ${applied}, commit ${commit}, last ${lastIndex}`;
  const stored = [before.disk.hardState.commit, after.disk.hardState.commit] as const;
  if (stored[1] < stored[0]) return `durable commit went back from ${stored[0]} to ${stored[1]}`;
  if (crashed) return null;
  if (commit < before.commit) return `commit went back from ${before.commit} to ${commit}`;
  return applied < before.applied ? `applied went back from ${before.applied} to ${applied}` : null;
};

const appliedIsDurable: LocalChecker = ({ after: { applied, log, disk } }) => {
  const entry = entryAt(log, applied);
  const stored = entryAt(disk.entries, applied);
  if (entry === undefined || applied <= disk.base) return null;
  if (stored !== undefined && sameEntry(entry, stored)) return null;
  return `applied ${place(entry)} with ${place(stored)} on its own disk`;
};

const committedImmutable: LocalChecker = ({ before, after: { log, decided, commit } }) => {
  if (before.log === log && before.commit === commit) return null;
  for (let index = log[0]?.index ?? 1; index <= commit; index++) {
    const entry = entryAt(log, index);
    const known = decided[index - 1]?.entry;
    if (entry === undefined || known === undefined || sameEntry(entry, known)) continue;
    return `committed entry ${place(known)} became ${place(entry)}`;
  }
  return null;
};

const commitsOwnTerm: LocalChecker = ({ before, after }) => {
  if (after.state !== "StateLeader" || after.commit <= before.commit) return null;
  // A leader that was none just before learnt its commit index as a follower.
  if (before.state !== "StateLeader" || before.term !== after.term) return null;
  const entry = entryAt(after.log, after.commit);
  if (entry?.term === after.term) return null;
  return `leader of term ${after.term} committed ${place(entry)} by counting`;
};

const matchMonotonic: LocalChecker = ({ before, after }) => {
  if (after.state !== "StateLeader") return null;
  for (const now of after.progress) {
    if (now.next <= now.match) return `next ${now.next} of ${now.id} is not past its match ${now.match}`;
    if (now.match > after.lastIndex) return `match ${now.match} of ${now.id} is past the last entry`;
    if (before.state !== "StateLeader" || before.term !== after.term || now.recovering) continue;
    const earlier = before.progress.find(({ id }) => id === now.id);
    if (earlier !== undefined && now.match < earlier.match)
      return `match of ${now.id} went back from ${earlier.match} to ${now.match}`;
  }
  return null;
};

const promisesAreDurable: LocalChecker = ({ after, sent }) => {
  for (const m of sent) {
    const broken = brokenPromise(m, after.disk);
    if (broken !== null) return broken;
  }
  return null;
};

/** A change of the configuration is let in only when the one before is applied, so known to be committed. */
const oneChangeAtATime: LocalChecker = ({ before, after: { log, commit } }) => {
  if (before.log === log && before.commit === commit) return null;
  const open = log.filter(({ index, type }) => index > commit && type !== "EntryNormal");
  return open.length <= 1
    ? null
    : `changes ${open.map(place).join(" and ")} are both not known to be committed`;
};

const noAnomaly: LocalChecker = ({ after: { anomaly } }) => anomaly;

/**
 * Why a power cut of the sender at the instant at which `m` enters the network would break what it promises;
 * null when it would not.
 */
export function brokenPromise(m: Message, disk: DiskView): string | null {
  if (m.reject) return null;
  const { term, vote } = disk.hardState;
  if (m.type === "MsgVoteResp" && !(term > m.term || (term === m.term && vote === m.to)))
    return `vote for ${m.to} in term ${m.term} left with term ${term} and vote ${vote} on disk`;
  if (m.type !== "MsgAppResp" || m.index === 0) return null;
  if (term < m.term) return `acknowledgement in term ${m.term} left with term ${term} on disk`;
  // In a later term the acknowledged entries may rightly have been replaced since.
  const last = lastOn(disk);
  if (term === m.term && last < m.index)
    return `acknowledgement of ${m.index} left with entries up to ${last} on disk`;
  return null;
}

/** By the catalogue's names. */
export const LOCAL: Readonly<Record<string, LocalChecker>> = {
  "I2 TermMonotonic": termMonotonic,
  "I3 OneVotePerTerm": oneVotePerTerm,
  "I4 LeaderAppendOnly": leaderAppendOnly,
  "I7 CommittedImmutable": committedImmutable,
  "I9 Order": order,
  "I9 AppliedIsDurable": appliedIsDurable,
  "I10 CommitsOwnTerm": commitsOwnTerm,
  "I11 MatchMonotonic": matchMonotonic,
  "I12 AckDurability": promisesAreDurable,
  "I13 OneChangeAtATime": oneChangeAtATime,
  "I20 NoAnomaly": noAnomaly,
};
