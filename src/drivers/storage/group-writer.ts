/**
 * The single writer: one write in flight, what is handed in meanwhile becomes the next write (group commit).
 *
 * LevelDB reorders writes that are not awaited (5 % of two batches on one key, measured), so nothing is ever
 * handed to it while it works. Encoding and hashing are done when an append is handed in, beside the sync of
 * the one before. Each group is one batch and one mark, in the order of judge.ts; completions come in the
 * order of the calls. The first failure is final: everything waiting and everything later is refused with it
 * (fail-stop), for after a failed sync the disk holds nobody knows what.
 *
 * The last door before the disk also asserts what Raft promises of its durable state: terms and commit never
 * fall, a vote is not changed within its term, the log has no gap, and nothing committed is overwritten.
 */
import { assert } from "../../core/base/assert.js";
import { type LogIndex, logIndex, NO_NODE } from "../../core/base/ids.js";
import type { Entry, HardState } from "../../core/raft/types.js";
import { equalBytes } from "./bytes.js";
import { encodeEntry, entryKey, hashEntry } from "./entry-codec.js";
import type { VerifiedLog } from "./judge.js";
import type { LogChange, LogStore } from "./log-store.js";
import { digestOf, encodeMark, type Mark, type Position, type Recovering } from "./mark.js";
import type { Mirror } from "./mirror.js";
import { StorageError, storageError } from "./storage-error.js";

/** Numbers about the writes, for metrics and for noticing a stalled disk. */
export interface WriterStats {
  /** Appends that became durable. */
  readonly writes: number;
  /** Groups that they were written in. */
  readonly batches: number;
  /** Entries that became durable, overwritten ones included. */
  readonly entries: number;
  /** Duration of the last finished group; 0 before the first. */
  readonly lastWriteMs: number;
  /** Duration of the slowest group. */
  readonly slowestWriteMs: number;
  /** For how long the oldest unfinished append has been waiting; null if none is. */
  readonly pendingSinceMs: number | null;
}

/** What the writer works on; all of it is closed with the writer. */
export interface WriterParts {
  readonly directory: string;
  readonly store: LogStore;
  readonly mirror: Mirror;
  readonly lock: { close(): Promise<void> };
}

/** An append on its way, with the state of the log and hard state after it. */
interface Pending {
  readonly changes: readonly LogChange[];
  readonly after: {
    readonly hardState: HardState;
    readonly last: Position;
    readonly recovering: Recovering | null;
  };
  readonly isEmpty: boolean;
  readonly entryCount: number;
  readonly bytes: number;
  readonly handedInAt: number;
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
}

/** A group takes no further append past this size, so that the first of them does not wait for all. */
const GROUP_BYTES = 4 << 20;
/** Idle time after which the newest mark is written to the other slot too. */
const SETTLE_MS = 20;

/** See `Storage` in storage.ts, which is this class as the other rooms see it. */
export class GroupWriter {
  readonly #parts: WriterParts;
  /** The newest durable mark, and its bytes. */
  #mark: Mark;
  #markBytes: Uint8Array;
  /** Terms and hashes of the log as handed in: may be ahead of the disk. Position i is index base + 1 + i. */
  readonly #terms: number[];
  readonly #hashes: Uint8Array[];
  #handedIn: Pending["after"];
  #queue: Pending[] = [];
  #inFlight: readonly Pending[] = [];
  #work: Promise<void> | null = null;
  #settleTimer: NodeJS.Timeout | null = null;
  #refusal: StorageError | null = null;
  #closing: Promise<void> | null = null;
  readonly #counts = { writes: 0, batches: 0, entries: 0, lastWriteMs: 0, slowestWriteMs: 0 };

  /** `mark` and `log` are what is durable now, in the log and in both slots. */
  constructor(parts: WriterParts, mark: Mark, log: VerifiedLog) {
    this.#parts = parts;
    this.#mark = mark;
    this.#markBytes = encodeMark(mark);
    this.#terms = log.entries.map((entry) => entry.term);
    this.#hashes = [...log.hashes];
    this.#handedIn = { hardState: mark.hardState, last: mark.last, recovering: mark.recovering };
  }

  get stats(): WriterStats {
    const oldest = this.#inFlight[0] ?? this.#queue[0];
    return {
      ...this.#counts,
      pendingSinceMs: oldest === undefined ? null : performance.now() - oldest.handedInAt,
    };
  }

  append(write: { readonly hardState: HardState | null; readonly entries: readonly Entry[] }): Promise<void> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    return new Promise((resolve, reject) => {
      const changes = this.#takeWrite(write.hardState, write.entries);
      this.#queue.push({
        changes,
        after: this.#handedIn,
        isEmpty: write.hardState === null && write.entries.length === 0,
        entryCount: write.entries.length,
        bytes: write.entries.reduce((sum, entry) => sum + entry.data.length, 0),
        handedInAt: performance.now(),
        resolve,
        reject,
      });
      this.#start();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new StorageError("STORAGE_CLOSED", `the storage in ${this.#parts.directory} was closed`);
    const failedBefore = this.#refusal !== null;
    this.#refusal ??= closed;
    if (this.#settleTimer !== null) clearTimeout(this.#settleTimer);
    await this.#work;
    if (this.#refusal === closed) await this.#settle();
    const { store, mirror, lock } = this.#parts;
    for (const part of [store, mirror, lock]) {
      await part.close().catch((thrown: unknown) => {
        // After a failure the parts close as far as they can; the failure itself was reported already.
        if (!failedBefore) throw storageError(thrown, "close the storage", this.#parts.directory);
      });
    }
  }

  /**
   * Takes a write into the state as handed in. A broken invariant leaves that state half done, so nothing may
   * follow it.
   */
  #takeWrite(hardState: HardState | null, entries: readonly Entry[]): LogChange[] {
    try {
      const changes = this.#takeEntries(entries);
      this.#takeHardState(hardState);
      return changes;
    } catch (thrown) {
      const where = this.#parts.directory;
      const why = `the storage in ${where} is closed: a bug of this program broke an invariant of the log; please report it`;
      this.#refusal ??= new StorageError("STORAGE_CLOSED", why, thrown);
      throw thrown;
    }
  }

  /** Adds `entries` to the log as handed in and returns what changes in LevelDB. */
  #takeEntries(entries: readonly Entry[]): LogChange[] {
    const first = entries[0];
    if (first === undefined) return [];
    const base = this.#mark.base;
    const lastBefore = this.#handedIn.last.index;
    assert(first.index > base.index && first.index <= lastBefore + 1, () => {
      return `entries from ${first.index} leave a gap in a log from ${base.index + 1} to ${lastBefore}`;
    });
    const at = first.index - base.index - 1;
    let previous: Position = this.#positionBefore(at);
    const replaced = this.#hashes.splice(at);
    this.#terms.length = at;
    const changes: LogChange[] = [];
    for (const [i, entry] of entries.entries()) {
      assert(entry.index === previous.index + 1 && entry.term >= previous.term, () => {
        return `entry ${entry.index} of term ${entry.term} cannot follow ${previous.index} of term ${previous.term}`;
      });
      const hash = hashEntry(entry, previous.hash);
      const old = replaced[i];
      if (entry.index <= this.#handedIn.hardState.commit) {
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
    assert(previous.index >= this.#handedIn.hardState.commit, () => {
      return `log cut at ${previous.index}, below commit ${this.#handedIn.hardState.commit}`;
    });
    for (let index = previous.index + 1; index <= lastBefore; index++) {
      changes.push({ kind: "delete", key: entryKey(logIndex(index)) });
    }
    this.#handedIn = { ...this.#handedIn, last: previous };
    return changes;
  }

  #takeHardState(next: HardState | null): void {
    if (next === null) return;
    const { hardState: now, last, recovering } = this.#handedIn;
    assert(next.term >= now.term, () => `term falls from ${now.term} to ${next.term}`);
    assert(next.term > now.term || now.vote === NO_NODE || next.vote === now.vote, () => {
      return `vote in term ${now.term} changed from ${now.vote} to ${next.vote}`;
    });
    assert(next.commit >= now.commit && next.commit <= last.index, () => {
      return `commit goes from ${now.commit} to ${next.commit}, the log ends at ${last.index}`;
    });
    const isRecovered = recovering === null || next.commit >= recovering.ackedIndex;
    this.#handedIn = { hardState: next, last, recovering: isRecovered ? null : recovering };
  }

  #positionBefore(at: number): Position {
    if (at === 0) return this.#mark.base;
    const hash = this.#hashes[at - 1];
    const term = this.#terms[at - 1];
    assert(hash !== undefined && term !== undefined, () => `no hash for log position ${at - 1}`);
    return {
      index: (this.#mark.base.index + at) as LogIndex,
      term: term as Position["term"],
      hash,
    };
  }

  #start(): void {
    if (this.#work !== null) return;
    if (this.#settleTimer !== null) clearTimeout(this.#settleTimer);
    this.#work = this.#drain();
  }

  async #drain(): Promise<void> {
    // One turn of the event loop's microtasks, so that appends of the same moment share the first write.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      this.#inFlight = group;
      try {
        await this.#writeGroup(group);
      } catch (thrown) {
        this.#fail(storageError(thrown, "write the log", this.#parts.directory));
        break;
      }
      this.#inFlight = [];
      for (const pending of group) pending.resolve();
    }
    this.#work = null;
    if (this.#refusal === null) {
      this.#settleTimer = setTimeout(() => {
        if (this.#work === null && this.#refusal === null) this.#work = this.#settleThenDrain();
      }, SETTLE_MS);
      this.#settleTimer.unref();
    }
  }

  #takeGroup(): readonly Pending[] {
    let bytes = 0;
    let count = 0;
    for (const pending of this.#queue) {
      bytes += pending.bytes;
      if (count > 0 && bytes > GROUP_BYTES) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #writeGroup(group: readonly Pending[]): Promise<void> {
    const after = group.at(-1)?.after;
    if (after === undefined || group.every((pending) => pending.isEmpty)) return;
    const startedAt = performance.now();
    const mark: Mark = {
      ...this.#mark,
      ...after,
      sequence: this.#mark.sequence + 1,
      previousDigest: digestOf(this.#markBytes),
    };
    const bytes = encodeMark(mark);
    // The log first and the mirror second: judge.ts proves why, and why nothing may be acknowledged in
    // between.
    await this.#parts.store.write(
      group.flatMap((pending) => pending.changes),
      bytes,
    );
    await this.#parts.mirror.write(bytes);
    this.#mark = mark;
    this.#markBytes = bytes;
    const tookMs = performance.now() - startedAt;
    this.#counts.batches++;
    this.#counts.writes += group.length;
    for (const pending of group) this.#counts.entries += pending.entryCount;
    this.#counts.lastWriteMs = tookMs;
    this.#counts.slowestWriteMs = Math.max(this.#counts.slowestWriteMs, tookMs);
  }

  async #settleThenDrain(): Promise<void> {
    await this.#settle();
    // While closing, too: what was handed in before is finished. After a failure nothing waits any more.
    if (this.#queue.length > 0) await this.#drain();
    else this.#work = null;
  }

  /** Writes the newest mark to the slot that does not have it. */
  async #settle(): Promise<void> {
    try {
      await this.#parts.mirror.write(this.#markBytes);
    } catch (thrown) {
      this.#fail(storageError(thrown, "write the mirror of the hard state", this.#parts.directory));
    }
  }

  /** Refuses everything from now on: see the header. */
  #fail(error: StorageError): void {
    this.#refusal = error;
    const waiting = [...this.#inFlight, ...this.#queue];
    this.#inFlight = [];
    this.#queue = [];
    for (const pending of waiting) pending.reject(error);
  }
}
