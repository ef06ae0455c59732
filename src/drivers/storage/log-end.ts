/**
 * The log as handed in: where it begins and ends, its terms and hashes, and the hard state. Ahead of the
 * disk.
 *
 * It turns a write into the changes of a LevelDB batch, and is the last door before the disk: it asserts what
 * Raft promises of its durable state. Terms and commit never fall, a vote is not changed within its term, the
 * log has no gap, and nothing committed is overwritten, by entries or by an older snapshot. What was cut is
 * not held here either: memory goes with the log.
 */
import { assert } from "../../core/base/assert.js";
import { type LogIndex, logIndex, NO_NODE, type NodeId, type Term } from "../../core/base/ids.js";
import type { Entry, HardState } from "../../core/raft/types.js";
import { equalBytes } from "./bytes.js";
import { encodeEntry, entryKey, hashEntry, hashPlace } from "./entry-codec.js";
import type { VerifiedLog } from "./judge.js";
import type { LogChange } from "./log-store.js";
import type { Mark, Place, Position, Recovering } from "./mark.js";

/** What a mark says of the log: everything but its own number and predecessor. */
export interface MarkedState {
  readonly hardState: HardState;
  readonly base: Position;
  readonly last: Position;
  readonly recovering: Recovering | null;
  readonly node: NodeId;
}

/** See the header. A call that throws leaves it half done: nothing may follow. */
export class LogEnd {
  /** Position i is index base + 1 + i. */
  readonly #terms: Term[];
  readonly #hashes: Uint8Array[];
  #state: MarkedState;

  /** `commit` is at least the mark's: a snapshot may know better. */
  constructor(mark: Mark, log: VerifiedLog, commit: LogIndex) {
    const { base, last, recovering, node } = mark;
    this.#state = { hardState: { ...mark.hardState, commit }, base, last, recovering, node };
    this.#terms = log.entries.map((entry) => entry.term);
    this.#hashes = [...log.hashes];
  }

  get state(): MarkedState {
    return this.#state;
  }

  /** The term of the entry at `index`, or of the base; null if the log does not have it. */
  termAt(index: LogIndex): Term | null {
    const { base } = this.#state;
    return index === base.index ? base.term : (this.#terms[index - base.index - 1] ?? null);
  }

  /** Adds `entries`, over whatever stands from the first one on. */
  takeEntries(entries: readonly Entry[]): LogChange[] {
    const first = entries[0];
    if (first === undefined) return [];
    const { base, last, hardState } = this.#state;
    assert(first.index > base.index && first.index <= last.index + 1, () => {
      return `entries from ${first.index} leave a gap in a log from ${base.index + 1} to ${last.index}`;
    });
    const at = first.index - base.index - 1;
    let previous = this.#positionBefore(at);
    const replaced = this.#hashes.splice(at);
    this.#terms.length = at;
    const changes: LogChange[] = [];
    for (const [i, entry] of entries.entries()) {
      assert(entry.index === previous.index + 1 && entry.term >= previous.term, () => {
        return `entry ${entry.index} of term ${entry.term} cannot follow ${previous.index} of term ${previous.term}`;
      });
      const hash = hashEntry(entry, previous.hash);
      const old = replaced[i];
      if (entry.index <= hardState.commit) {
        assert(
          old !== undefined && equalBytes(old, hash),
          () => `committed entry ${entry.index} overwritten`,
        );
      }
      changes.push({ kind: "put", key: entryKey(entry.index), value: encodeEntry(entry, previous.hash) });
      this.#hashes.push(hash);
      this.#terms.push(entry.term);
      previous = { index: entry.index, term: entry.term, hash };
    }
    assert(
      previous.index >= hardState.commit,
      () => `log cut at ${previous.index}, below commit ${hardState.commit}`,
    );
    this.#state = { ...this.#state, last: previous };
    return [...changes, ...deletions(previous.index + 1, last.index)];
  }

  takeHardState(next: HardState | null): void {
    if (next === null) return;
    const { hardState: now, last, recovering } = this.#state;
    assert(next.term >= now.term, () => `term falls from ${now.term} to ${next.term}`);
    assert(next.term > now.term || now.vote === NO_NODE || next.vote === now.vote, () => {
      return `vote in term ${now.term} changed from ${now.vote} to ${next.vote}`;
    });
    assert(next.commit >= now.commit && next.commit <= last.index, () => {
      return `commit goes from ${now.commit} to ${next.commit}, the log ends at ${last.index}`;
    });
    const isRecovered = recovering === null || next.commit >= recovering.ackedIndex;
    this.#state = { ...this.#state, hardState: next, recovering: isRecovered ? null : recovering };
  }

  takeNode(node: NodeId): void {
    this.#state = { ...this.#state, node };
  }

  /** Replaces the whole log by a snapshot that was received. */
  takeSnapshot({ index, term }: Place): LogChange[] {
    const { base, last, hardState } = this.#state;
    // One from behind the commit would take away entries that were acknowledged as committed.
    assert(index >= hardState.commit && index > base.index, () => {
      return `a snapshot at ${index} cannot replace a log from ${base.index + 1} that is committed up to ${hardState.commit}`;
    });
    this.#terms.length = 0;
    this.#hashes.length = 0;
    const place: Position = { index, term, hash: hashPlace(index, term) };
    // It holds what was committed, so its index is a commit index.
    const known = { ...hardState, commit: index };
    this.#state = { ...this.#state, hardState: known, base: place, last: place };
    return deletions(base.index + 1, last.index);
  }

  /**
   * Takes away at most `count` entries before `keepFrom`, which a durable snapshot of this log stands for.
   */
  cut(keepFrom: LogIndex, count: number): LogChange[] {
    const { base: before, hardState } = this.#state;
    const cut = Math.min(keepFrom - 1 - before.index, count);
    assert(cut >= 0 && cut <= this.#hashes.length, () => `no entry ${keepFrom - 1} to cut at`);
    const base = this.#positionBefore(cut);
    this.#hashes.splice(0, cut);
    this.#terms.splice(0, cut);
    // What a snapshot of ours stands for was applied, hence committed.
    const commit = logIndex(Math.max(hardState.commit, base.index));
    this.#state = { ...this.#state, base, hardState: { ...hardState, commit } };
    return deletions(before.index + 1, base.index);
  }

  #positionBefore(at: number): Position {
    const { base } = this.#state;
    if (at === 0) return base;
    const hash = this.#hashes[at - 1];
    const term = this.#terms[at - 1];
    assert(hash !== undefined && term !== undefined, () => `no hash for log position ${at - 1}`);
    return { index: logIndex(base.index + at), term, hash };
  }
}

function deletions(from: number, to: number): LogChange[] {
  return from > to ? [] : [{ kind: "delete", from: logIndex(from), to: logIndex(to) }];
}
