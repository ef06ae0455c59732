/**
 * The plain twin of a storage: a whole log in memory, a small state machine over it, and operations that
 * depend on nothing but the number of the operation and where the log stands.
 *
 * Operation n is the write in term n, so the term that comes back says how many operations the disk holds,
 * and a second twin, run up to there, says what they were. The state is the replay of the committed entries:
 * a snapshot that does not equal it was taken, cut or installed wrongly.
 */
import assert from "node:assert/strict";
import { crc32c } from "../../../src/core/base/crc32c.js";
import { logIndex, term } from "../../../src/core/base/ids.js";
import type { State } from "../../../src/core/model/state.js";
import type { Entry, HardState } from "../../../src/core/raft/types.js";
import type { StateSnapshot } from "../../../src/core/witness/contract.js";
import type { Restored } from "../../../src/drivers/storage/storage.js";
import { entries, hardState, snapshotAt } from "./disk.js";

/** Every so many operations a snapshot is installed. */
const INSTALL_EVERY = 37;
/** Audit records in the state, and their length: some parts of a snapshot file. */
const RECORDS = 150;
const RECORD_CHARS = 800;

/** What an operation hands to `Storage.append`. */
export interface TwinWrite {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
  readonly snapshot: StateSnapshot | null;
}

/** See the header. */
export class Twin {
  /** The log after `base`. */
  readonly #entries: Entry[] = [];
  #base = { index: 0, term: 0 };
  #hardState = hardState(0, 0, 0);
  #applied: Digest = { index: 0, term: 0, digest: 0 };

  /** A twin that stands where a disk does. */
  static from(restored: Restored): Twin {
    const twin = new Twin();
    twin.#base = restored.base;
    twin.#entries.push(...restored.entries);
    if (restored.snapshot !== null) twin.#applied = digestIn(restored.snapshot.data);
    twin.#hardState = restored.hardState;
    twin.#apply(restored.hardState.commit);
    return twin;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  /** The log after `index`. */
  after(index: number): readonly Entry[] {
    return this.#entries.slice(index - this.#base.index);
  }

  /** The snapshot at the commit index. */
  snapshot(): StateSnapshot {
    return snapshotOf(this.#applied);
  }

  /** The digest of a replay up to `index`, from the beginning. Only for a twin that has the whole log. */
  replay(index: number): StateSnapshot {
    assert.equal(this.#base.index, 0);
    return snapshotOf(this.#entries.slice(0, index).reduce(step, { index: 0, term: 0, digest: 0 }));
  }

  /**
   * Does the next operation and says what is to be written for it. `wholeLog`: keep what an install leaves
   * out.
   */
  next(wholeLog: boolean): TwinWrite {
    const operation = this.#hardState.term + 1;
    return operation % INSTALL_EVERY === 0 ? this.#install(operation, wholeLog) : this.#append(operation);
  }

  /** Growth, and every fifth time an overwrite that leaves the log shorter. */
  #append(operation: number): TwinWrite {
    const { commit } = this.#hardState;
    const isOverwrite = operation % 5 === 4;
    const from = Math.max(commit + 1, this.lastIndex + 1 - (isOverwrite ? 3 : 0));
    const count = (operation % 3) + (isOverwrite ? 1 : 0);
    const added = count === 0 ? [] : entries(from, from + count - 1, operation);
    if (count > 0) this.#replaceFrom(from, added);
    const state = hardState(operation, operation % 4, Math.max(commit, this.lastIndex - 6));
    this.#hardState = state;
    this.#apply(state.commit);
    return { hardState: state, entries: added, snapshot: null };
  }

  /** What a leader of that term committed while we were away; our own tail was not part of it. */
  #install(operation: number, wholeLog: boolean): TwinWrite {
    const { commit } = this.#hardState;
    const at = Math.max(commit + 1 + (operation % 7), commit + 1);
    this.#replaceFrom(commit + 1, entries(commit + 1, at, operation));
    const added = entries(at + 1, at + (operation % 3), operation);
    this.#hardState = hardState(operation, 0, at);
    this.#apply(at);
    const snapshot = this.snapshot();
    this.#replaceFrom(at + 1, added);
    if (!wholeLog) this.cutTo(at);
    return { hardState: this.#hardState, entries: added, snapshot };
  }

  /** Lets go of the log up to `index`. */
  cutTo(index: number): void {
    const removed = this.#entries.splice(0, index - this.#base.index);
    const last = removed.at(-1);
    if (last !== undefined) this.#base = { index: last.index, term: last.term };
  }

  #replaceFrom(index: number, added: readonly Entry[]): void {
    this.#entries.length = index - 1 - this.#base.index;
    this.#entries.push(...added);
  }

  #apply(commit: number): void {
    for (let index = this.#applied.index + 1; index <= commit; index++) {
      const each = this.#entries[index - this.#base.index - 1];
      assert.ok(each !== undefined, `no entry ${index} to apply`);
      this.#applied = step(this.#applied, each);
    }
  }
}

/**
 * Checks that a disk gave back what `twin` (with the whole log) holds after as many operations as its term
 * says.
 */
export function assertEqualsTwin(restored: Restored, twin: Twin, what: string): void {
  const { base, snapshot } = restored;
  assert.equal(restored.recovering, null, `${what}: a crash was called a loss`);
  assert.equal(restored.hardState.term, twin.hardState.term, what);
  // A snapshot file may be durable before the hard state that says as much.
  const commit = logIndex(Math.max(twin.hardState.commit, snapshot?.index ?? 0));
  assert.deepEqual(restored.hardState, { ...twin.hardState, commit }, `${what}: hard state`);
  assert.deepEqual(restored.entries, twin.after(base.index), `${what}: log after ${base.index}`);
  if (base.index > 0)
    assert.equal(base.term, twin.after(base.index - 1)[0]?.term, `${what}: base ${base.index}`);
  if (snapshot === null) assert.equal(base.index, 0, `${what}: no snapshot stands for what was cut`);
  else {
    assert.ok(snapshot.index >= base.index, `${what}: snapshot at ${snapshot.index}, base ${base.index}`);
    assert.deepEqual(snapshot, twin.replay(snapshot.index), `${what}: the state is not the replayed one`);
  }
}

/** The state machine: what was applied, and a checksum of all of it in order. */
interface Digest {
  readonly index: number;
  readonly term: number;
  readonly digest: number;
}

function step(before: Digest, entry: Entry): Digest {
  return { index: entry.index, term: entry.term, digest: crc32c(entry.data, before.digest) };
}

function snapshotOf({ index, term: inTerm, digest }: Digest): StateSnapshot {
  const snapshot = snapshotAt(index, inTerm, RECORDS, RECORD_CHARS);
  return { ...snapshot, data: { ...snapshot.data, clusterTimeMs: digest } };
}

function digestIn({ appliedIndex, appliedTerm, clusterTimeMs }: State): Digest {
  return { index: logIndex(appliedIndex), term: term(appliedTerm), digest: clusterTimeMs };
}
