/**
 * What the checkers look at: one member as it is now, and what an all-seeing observer remembers of it.
 *
 * The member forgets over a crash, the observer does not: in which terms it led, whom it voted for, and what it
 * took for committed. Everything is plain data, taken from the member's public face and from its disk, so the
 * random histories (chaos.test.ts) and the exhaustive ones (explore) are judged by the same checkers.
 */
import type {
  ConfState,
  Entry,
  HardState,
  Message,
  ProgressStatus,
  RawNode,
  StateType,
} from "../../../../src/core/raft/raft.js";

/** What a power cut leaves. */
export interface DiskView {
  readonly hardState: HardState;
  /** A snapshot stands for the entries up to here; `entries` follow. */
  readonly base: number;
  readonly entries: readonly Entry[];
}

/** One member now. */
export interface View {
  readonly id: number;
  readonly term: number;
  readonly state: StateType;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** The configuration in force. */
  readonly confState: ConfState;
  /** The whole log in the member's own view, durable or not. */
  readonly log: readonly Entry[];
  readonly disk: DiskView;
  readonly progress: readonly ProgressStatus[];
  readonly anomaly: string | null;
}

/** An entry that somebody took for committed, and the term that this member was in when it did. */
export interface Decision {
  readonly entry: Entry;
  readonly term: number;
}

/** What is remembered of one member, over its crashes too. */
export interface Memory {
  /** Terms in which it was leader. */
  readonly led: readonly number[];
  /** Votes that it stored or sent. */
  readonly votes: readonly { readonly term: number; readonly to: number }[];
  /** By index - 1; a hole where it learnt of the commit by a snapshot only. */
  readonly decided: readonly (Decision | undefined)[];
}

/** One member, now and before. */
export interface Seen extends View, Memory {}

/** The entry at `index` of a log that begins anywhere. */
export function entryAt(log: readonly Entry[], index: number): Entry | undefined {
  return log[index - (log[0]?.index ?? 1)];
}

/** Index of the last entry on a disk. */
export function lastOn({ base, entries }: DiskView): number {
  return entries.at(-1)?.index ?? base;
}

/** True for entries that are equal in all that Raft cares for. */
export function sameEntry(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.term !== b.term || a.index !== b.index || a.type !== b.type) return false;
  return a.data.length === b.data.length && a.data.every((byte, i) => byte === b.data[i]);
}

/** "term/index" for messages. */
export function place(entry: Entry | undefined): string {
  return entry === undefined ? "nothing" : `${entry.term}/${entry.index}`;
}

/** What is to be seen of a member; its log and its disk are given, so that equal ones may be one. */
export function viewOf(
  id: number,
  node: RawNode,
  log: readonly Entry[],
  { hardState, base, entries }: DiskView,
): View {
  const { term, state, commit, applied, firstIndex, lastIndex, confState, progress, lastAnomaly } =
    node.status();
  const cursors = { commit, applied, firstIndex, lastIndex };
  return {
    id,
    term,
    state,
    ...cursors,
    confState,
    log,
    disk: { hardState, base, entries },
    progress,
    anomaly: lastAnomaly,
  };
}

/** Joins what a member is now to what is remembered of it; `sent` has left it since it was last seen. */
export function remember(before: Memory, view: View, sent: readonly Message[]): Seen {
  const { led, votes, decided } = before;
  const leads = view.state === "StateLeader" && !led.includes(view.term);
  return {
    ...view,
    led: leads ? [...led, view.term] : led,
    votes: withVotes(votes, view, sent),
    decided: withDecisions(decided, view),
  };
}

/** Nothing is known yet. */
export const NO_MEMORY: Memory = { led: [], votes: [], decided: [] };

function withVotes(votes: Memory["votes"], { disk }: View, sent: readonly Message[]): Memory["votes"] {
  const { term, vote } = disk.hardState;
  const given = sent
    .filter((m) => m.type === "MsgVoteResp" && !m.reject)
    .map((m) => ({ term: Number(m.term), to: Number(m.to) }));
  if (vote !== 0) given.push({ term, to: vote });
  const news = given.filter((v) => !votes.some((known) => known.term === v.term && known.to === v.to));
  return news.length === 0 ? votes : [...votes, ...news];
}

function withDecisions(decided: Memory["decided"], view: View): Memory["decided"] {
  if (view.commit <= decided.length) return decided;
  const grown = decided.slice();
  for (let index = decided.length + 1; index <= view.commit; index++) {
    const entry = entryAt(view.log, index);
    grown.push(entry === undefined ? undefined : { entry, term: view.term });
  }
  return grown;
}
