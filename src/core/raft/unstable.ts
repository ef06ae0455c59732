/**
 * The end of the log that is not known to be durable; and a snapshot that replaced the log and is not durable yet.
 *
 * Entries from `offset` on are here; those before `offsetInProgress` have been handed to storage and await
 * its answer. An answer names term and index of the last entry written, and is believed only if that very
 * entry is still here: an index alone may since have been overwritten by another leader's entry that is not
 * durable (the ABA race, etcd ee0757a).
 *
 * Invariant: offset <= offsetInProgress <= offset + length. Arrays handed out are copies (etcd 98887d7
 * shows why).
 */
import { assert } from "../base/assert.js";
import { type LogIndex, logIndex, type Term } from "../base/ids.js";
import type { Entry, Snapshot } from "./types.js";

export class Unstable {
  #snapshot: Snapshot | null = null;
  #snapshotInProgress = false;
  #entries: Entry[] = [];
  #offset: LogIndex;
  #offsetInProgress: LogIndex;

  /** Starts empty; the first entry will have index `offset`. */
  constructor(offset: LogIndex) {
    this.#offset = offset;
    this.#offsetInProgress = offset;
  }

  get offset(): LogIndex {
    return this.#offset;
  }

  get offsetInProgress(): LogIndex {
    return this.#offsetInProgress;
  }

  /** The snapshot that storage has not confirmed, handed over or not. */
  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** The snapshot that storage was not yet told of. */
  nextSnapshot(): Snapshot | null {
    return this.#snapshotInProgress ? null : this.#snapshot;
  }

  /** A snapshot replaces the whole log. */
  restore(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#snapshotInProgress = false;
    this.#entries = [];
    this.#offset = logIndex(snapshot.index + 1);
    this.#offsetInProgress = this.#offset;
  }

  /** Storage confirmed the snapshot of `index`; nothing when a later one has taken its place (raft-rs #417). */
  stableSnapshotTo(index: LogIndex): boolean {
    if (this.#snapshot?.index !== index) return false;
    this.#snapshot = null;
    this.#snapshotInProgress = false;
    return true;
  }

  /** True while any entry here has not been confirmed by storage, whether it was handed over or not. */
  get pending(): boolean {
    return this.#entries.length > 0;
  }

  /** The index of the last entry; `offset - 1` when there is none. */
  get lastIndex(): LogIndex {
    return logIndex(this.#offset + this.#entries.length - 1);
  }

  /** The entry at `index`, if it is here. */
  at(index: LogIndex): Entry | undefined {
    return index < this.#offset ? undefined : this.#entries[index - this.#offset];
  }

  /** True when there are entries that storage was not yet told of. */
  get hasNext(): boolean {
    return this.#offsetInProgress <= this.lastIndex;
  }

  /** The entries that storage was not yet told of. */
  next(): readonly Entry[] {
    return this.#entries.slice(this.#offsetInProgress - this.#offset);
  }

  /** Everything here has now been handed to storage. */
  acceptInProgress(): void {
    this.#offsetInProgress = logIndex(this.lastIndex + 1);
    this.#snapshotInProgress = this.#snapshot !== null;
  }

  /**
   * Storage confirmed the log up to the entry (`term`, `index`). Returns the entries that thereby became
   * stable, none when the confirmation is about an entry that is no longer here.
   */
  stableTo(index: LogIndex, term: Term): readonly Entry[] {
    if (this.at(index)?.term !== term) return [];
    const stable = this.#entries.slice(0, index + 1 - this.#offset);
    this.#entries = this.#entries.slice(stable.length);
    this.#offset = logIndex(index + 1);
    this.#offsetInProgress = logIndex(Math.max(this.#offsetInProgress, this.#offset));
    return stable;
  }

  /**
   * Puts `entries` (not empty, in sequence) at their place; what stood at their first index and after is
   * gone.
   */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = entries[0]?.index;
    assert(from !== undefined, "append of no entries");
    assert(from <= this.lastIndex + 1, () => `gap in the log: entry ${from} after ${this.lastIndex}`);
    if (from <= this.#offset) {
      this.#entries = entries.slice();
      this.#offset = from;
      this.#offsetInProgress = from;
      return;
    }
    this.#entries = [...this.#entries.slice(0, from - this.#offset), ...entries];
    // What storage was told of from here on is void, and must be told anew.
    this.#offsetInProgress = logIndex(Math.min(this.#offsetInProgress, from));
  }
}
