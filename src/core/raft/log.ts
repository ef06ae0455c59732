/**
 * The log: a stable part that storage confirmed, an unstable end, and the three cursors applied <= applying
 * <= committed.
 *
 * What the log holds is in memory; `base` is the place of the last entry that it no longer holds (index 0 and
 * term 0 for a full log): a compaction moves it up to what was applied, a snapshot from the leader replaces the
 * whole log by it. A term outside [base, last] is unknown, never 0: reading it as 0 let a follower "match" a
 * compacted index (etcd 76f1249).
 *
 * Invariants: applied <= applying <= committed <= last; base <= applied, but for the time in which a received
 * snapshot is not durable yet; `committed` never decreases and nothing at or below it is overwritten; terms never
 * decrease along the log.
 */
import { assert } from "../base/assert.js";
import { type LogIndex, logIndex, type Term } from "../base/ids.js";
import { isConfChange } from "./conf-change.js";
import { entriesSize, entrySize, ZERO_INDEX, ZERO_TERM } from "./messages.js";
import type { Entry, Snapshot } from "./types.js";
import { Unstable } from "./unstable.js";

/** An entry's place, which by log matching names the whole log up to it. */
export interface EntryId {
  readonly index: LogIndex;
  readonly term: Term;
}

/** The place before the first entry of a full log. */
export const ORIGIN: EntryId = { index: ZERO_INDEX, term: ZERO_TERM };

/** What an append from a leader came to. */
export type AppendResult =
  | { readonly kind: "appended"; readonly lastIndex: LogIndex }
  | { readonly kind: "mismatch" };

export class RaftLog {
  #base: EntryId;
  readonly #maxApplyingBytes: number;
  #stable: Entry[];
  #unstable: Unstable;
  #committed: LogIndex;
  #applying: LogIndex;
  #applied: LogIndex;
  #applyingBytes = 0;
  #applyingPaused = false;

  /** `entries` are durable and follow `base` without a gap; the cursors start at `base`. */
  constructor(options: {
    readonly base: EntryId;
    readonly entries: readonly Entry[];
    /** Unit: bytes; Infinity for no limit. */
    readonly maxApplyingBytes: number;
  }) {
    this.#base = options.base;
    this.#maxApplyingBytes = options.maxApplyingBytes;
    let previous = options.base;
    for (const entry of options.entries) {
      assert(
        entry.index === previous.index + 1 && entry.term >= previous.term,
        () => `restored log: entry ${entry.term}/${entry.index} after ${previous.term}/${previous.index}`,
      );
      previous = entry;
    }
    this.#stable = options.entries.slice();
    this.#unstable = new Unstable(logIndex(previous.index + 1));
    this.#committed = options.base.index;
    this.#applying = options.base.index;
    this.#applied = options.base.index;
  }

  get base(): EntryId {
    return this.#base;
  }
  get firstIndex(): LogIndex {
    return logIndex(this.#base.index + 1);
  }
  get lastIndex(): LogIndex {
    return this.#unstable.lastIndex;
  }
  get committed(): LogIndex {
    return this.#committed;
  }
  get applying(): LogIndex {
    return this.#applying;
  }
  get applied(): LogIndex {
    return this.#applied;
  }

  #at(index: LogIndex): Entry | undefined {
    if (index >= this.#unstable.offset) return this.#unstable.at(index);
    return index <= this.#base.index ? undefined : this.#stable[index - this.#base.index - 1];
  }

  /** The term at `index`; null when the log does not know it (compacted, or past the end). */
  term(index: LogIndex): Term | null {
    if (index === this.#base.index) return this.#base.term;
    return this.#at(index)?.term ?? null;
  }

  /** The place of the last entry. */
  last(): EntryId {
    const index = this.lastIndex;
    const term = this.term(index);
    assert(term !== null, () => `the last entry ${index} has no term`);
    return { index, term };
  }

  /** True when the log holds exactly this entry. */
  matches(id: EntryId): boolean {
    return this.term(id.index) === id.term;
  }

  /**
   * True when a log that ends at `id` is at least as complete as this one (paper, section 5.4.1: by term,
   * then by index).
   */
  isUpToDate(id: EntryId): boolean {
    const last = this.last();
    return id.term > last.term || (id.term === last.term && id.index >= last.index);
  }

  /** Entries of [from, to], as many as fit in `maxBytes`, at least one. Unit: bytes as `entrySize` counts. */
  slice(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    const out: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index = logIndex(index + 1)) {
      const entry = this.#at(index);
      assert(entry !== undefined, () => `entry ${index} is not in [${this.firstIndex}, ${this.lastIndex}]`);
      bytes += entrySize(entry);
      if (out.length > 0 && bytes > maxBytes) break;
      out.push(entry);
    }
    return out;
  }

  /** Entries from `from` to the end, within `maxBytes`. */
  entriesFrom(from: LogIndex, maxBytes: number): readonly Entry[] {
    return this.slice(from, this.lastIndex, maxBytes);
  }

  /** Puts `entries` at their place, dropping what stood there; never at or below the commit index. */
  append(entries: readonly Entry[]): void {
    const from = entries[0]?.index;
    if (from === undefined) return;
    assert(from > this.#committed, () => `entry ${from} would overwrite the committed ${this.#committed}`);
    this.#unstable.truncateAndAppend(entries);
    const kept = this.#unstable.offset - this.#base.index - 1;
    if (kept < this.#stable.length) this.#stable = this.#stable.slice(0, kept);
  }

  /**
   * The first committed index at which `entries`, or the place before them, are not what stands here; null
   * when none is. By Leader Completeness (paper, section 5.4.3) no leader can say so unless durable log was
   * lost somewhere.
   */
  committedConflict(previous: EntryId, entries: readonly Entry[]): LogIndex | null {
    const differs = ({ index, term }: EntryId): boolean =>
      index <= this.#committed && index >= this.#base.index && this.term(index) !== term;
    return [previous, ...entries].find(differs)?.index ?? null;
  }

  /**
   * A leader's append (paper, figure 2, AppendEntries steps 2 to 5). Only a conflicting entry truncates: a
   * late or short append must not remove what was already acknowledged (willemt #37). `commit` counts up to
   * the last entry of this append only, because what follows it in our log is not verified (etcd b927fa8).
   */
  maybeAppend(previous: EntryId, entries: readonly Entry[], commit: LogIndex): AppendResult {
    if (!this.matches(previous)) return { kind: "mismatch" };
    const fresh = entries.findIndex((entry) => !this.matches(entry));
    if (fresh >= 0) {
      this.append(entries.slice(fresh));
    }
    const lastIndex = logIndex(previous.index + entries.length);
    this.commitTo(logIndex(Math.min(commit, lastIndex)));
    return { kind: "appended", lastIndex };
  }

  /**
   * The largest index at or below `index` whose term is at most `term`, with its term (0 when unknown):
   * where a log whose entry after that has `term` can agree with ours at best. It lets both sides skip a
   * whole term at a time.
   */
  findConflictByTerm(index: LogIndex, term: Term): EntryId {
    for (let i = index; i > 0; i = logIndex(i - 1)) {
      const ours = this.term(i);
      if (ours === null) return { index: i, term: ZERO_TERM };
      if (ours <= term) return { index: i, term: ours };
    }
    return ORIGIN;
  }

  /** Moves the commit index forward; a smaller one is old news. */
  commitTo(index: LogIndex): void {
    if (index <= this.#committed) return;
    assert(index <= this.lastIndex, () => `commit ${index} is past the last entry ${this.lastIndex}`);
    this.#committed = index;
  }

  /** A leader's snapshot replaces everything. The caller has seen that it is past the commit index. */
  restore(snapshot: Snapshot): void {
    assert(
      snapshot.index > this.#committed,
      () => `snapshot ${snapshot.index} is not past the commit index ${this.#committed}`,
    );
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#stable = [];
    this.#committed = snapshot.index;
    this.#unstable.restore(snapshot);
  }

  /** The received snapshot that is not durable yet. */
  get pendingSnapshot(): Snapshot | null {
    return this.#unstable.snapshot;
  }
  nextSnapshot(): Snapshot | null {
    return this.#unstable.nextSnapshot();
  }

  /** Storage confirmed the snapshot of `index`; false when it is not the one that waits. */
  stableSnapshotTo(index: LogIndex): boolean {
    return this.#unstable.stableSnapshotTo(index);
  }

  /** Drops the entries up to `index`, which are applied and which a snapshot stands for. */
  compact(index: LogIndex): void {
    if (index <= this.#base.index) return;
    assert(index <= this.#applied, () => `compaction to ${index}, but applied is ${this.#applied}`);
    const term = this.term(index);
    assert(term !== null && index < this.#unstable.offset, () => `entry ${index} is not durable here`);
    this.#stable = this.#stable.slice(index - this.#base.index);
    this.#base = { index, term };
  }

  /** True while a change of the configuration is committed and not applied. */
  get hasUnappliedConfChange(): boolean {
    for (let index = logIndex(this.#applied + 1); index <= this.#committed; index = logIndex(index + 1)) {
      const entry = this.#at(index);
      if (entry !== undefined && isConfChange(entry.type)) return true;
    }
    return false;
  }

  /** Storage confirmed the log up to this entry. */
  stableTo(id: EntryId): void {
    for (const entry of this.#unstable.stableTo(id.index, id.term)) this.#stable.push(entry);
  }

  get hasNextUnstable(): boolean {
    return this.#unstable.hasNext;
  }
  /** True while some entry is not confirmed by storage. */
  get hasUnstable(): boolean {
    return this.#unstable.pending;
  }
  nextUnstable(): readonly Entry[] {
    return this.#unstable.next();
  }
  acceptUnstable(): void {
    this.#unstable.acceptInProgress();
  }

  #maxAppliable(allowUnstable: boolean): LogIndex {
    // An entry may be applied before it is durable here only where the caller persists before it applies,
    // in one Ready.
    return allowUnstable ? this.#committed : logIndex(Math.min(this.#committed, this.#unstable.offset - 1));
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    // Nothing is applied on a state that a snapshot is about to replace.
    if (this.#unstable.snapshot !== null) return false;
    return !this.#applyingPaused && this.#applying < this.#maxAppliable(allowUnstable);
  }

  /** Committed entries to apply next, within the bound on bytes being applied. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return [];
    const room = this.#maxApplyingBytes - this.#applyingBytes;
    return this.slice(logIndex(this.#applying + 1), this.#maxAppliable(allowUnstable), room);
  }

  /**
   * `entries` (from `nextCommitted`) have been handed out; pauses when the bound is reached or cut them
   * short.
   */
  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    assert(last.index <= this.#committed, () => `applying ${last.index} past commit ${this.#committed}`);
    this.#applying = last.index;
    this.#applyingBytes += entriesSize(entries);
    this.#applyingPaused =
      this.#applyingBytes >= this.#maxApplyingBytes || last.index < this.#maxAppliable(allowUnstable);
  }

  /** The caller has applied up to `index`; `bytes` of those handed out are thereby done. */
  appliedTo(index: LogIndex, bytes: number): void {
    assert(
      index >= this.#applied && index <= this.#committed,
      () => `applied ${index} is outside [${this.#applied}, ${this.#committed}]`,
    );
    this.#applied = index;
    this.#applying = logIndex(Math.max(this.#applying, index));
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#maxApplyingBytes;
  }
}
