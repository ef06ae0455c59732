/**
 * The single writer: one write in flight, what is handed in meanwhile becomes the next write (group commit).
 *
 * LevelDB reorders writes that are not awaited (5 % of two batches on one key, measured), so nothing is ever
 * handed to it while it works. Encoding and hashing are done when an append is handed in, beside the sync of
 * the one before. Each group is one batch and one mark, in the order of judge.ts; completions come in the
 * order of the calls. The first failure is final: everything waiting and everything later is refused with it
 * (fail-stop), for after a failed sync the disk holds nobody knows what.
 *
 * A commit index alone is no reason to sync: Raft finds it again after a crash, from the leader or by electing
 * one. It waits for what was handed in before it, and goes to the disk with the next write, or soon after the last.
 *
 * What shortens the log at its beginning goes the same way, once the snapshot that stands for the rest is
 * durable as a file. An installed snapshot replaces the whole log in one batch. A compaction writes its
 * file beside the appends, and then cuts in steps of some thousand entries, each a write like any other, so
 * that no append waits for all of them; a crash between two steps leaves a base that the snapshot covers.
 */
import { assert } from "../../core/base/assert.js";
import { type LogIndex, NO_NODE } from "../../core/base/ids.js";
import type { Entry, HardState } from "../../core/raft/types.js";
import type { Adopted, StateSnapshot } from "../../core/witness/contract.js";
import { isSameAdoption } from "./identity.js";
import type { VerifiedLog } from "./judge.js";
import { LogEnd, type MarkedState } from "./log-end.js";
import type { LogChange, LogStore } from "./log-store.js";
import { digestOf, encodeMark, type Mark } from "./mark.js";
import type { Mirror } from "./mirror.js";
import type { SnapshotFiles } from "./snapshot-files.js";
import { StorageError, storageError } from "./storage-error.js";

/** Numbers about the writes, for metrics and for noticing a stalled disk. */
export interface WriterStats {
  /** Appends that became durable; adoptions and the steps of compactions count too. */
  readonly writes: number;
  /** Groups that they were written in. */
  readonly batches: number;
  /** Entries that became durable, overwritten ones included. */
  readonly entries: number;
  /** Duration of the last finished group; 0 before the first. */
  readonly lastWriteMs: number;
  /** Duration of the slowest group. */
  readonly slowestWriteMs: number;
  /**
   * The oldest write that is not durable yet, and when it was handed in, by the monotonic clock
   * (`performance.now`); null if there is none. An `install` writes a whole snapshot and may take seconds on
   * a healthy disk.
   */
  readonly outstanding: { readonly kind: PendingKind; readonly sinceMs: number } | null;
  /** When the compaction that is under way began, by the same clock; null if none is. */
  readonly compactingSinceMs: number | null;
}

/** What can be waiting for the disk. `cut` is a step of a compaction. */
export type PendingKind = "append" | "install" | "adopt" | "cut";

/** One write, see `Storage.append`. */
export interface AppendWrite {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly snapshot?: StateSnapshot | null;
}

/** What the writer works on; all of it is closed with the writer. */
export interface WriterParts {
  readonly directory: string;
  readonly store: LogStore;
  readonly mirror: Mirror;
  readonly snapshots: SnapshotFiles;
  /** Makes the identity file say who was adopted. */
  readonly writeAdopted: (adopted: Adopted) => Promise<void>;
  readonly lock: { close(): Promise<void> };
}

/** A write on its way, with the state of the log and hard state after it. */
interface Pending {
  readonly kind: PendingKind;
  /** Must be done before the batch. Begins a group: nothing handed in before waits for it. */
  readonly prepare: (() => Promise<void>) | null;
  readonly changes: readonly LogChange[];
  readonly after: MarkedState;
  /** It needs no write of its own. */
  readonly isEmpty: boolean;
  readonly entryCount: number;
  readonly bytes: number;
  readonly handedInAt: number;
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
}

/** A group takes no further append past this size, so that the first of them does not wait for all. */
const GROUP_BYTES = 4 << 20;
/** So many entries a compaction takes away in one write. */
const CUT_ENTRIES = 4096;
/** Idle time after which the newest mark is written to the other slot too. */
const SETTLE_MS = 20;

/** See `Storage` in storage.ts, which is this class as the other rooms see it. */
export class GroupWriter {
  readonly #parts: WriterParts;
  /** The newest durable mark, and its bytes. */
  #mark: Mark;
  #markBytes: Uint8Array;
  readonly #log: LogEnd;
  #adopted: Adopted | null;
  #queue: Pending[] = [];
  #inFlight: readonly Pending[] = [];
  #work: Promise<void> | null = null;
  /** The compactions that were asked for, one after the other. */
  #compactions: Promise<unknown> = Promise.resolve();
  #compactingSinceMs: number | null = null;
  #settleTimer: NodeJS.Timeout | null = null;
  #refusal: StorageError | null = null;
  #closing: Promise<void> | null = null;
  readonly #counts = { writes: 0, batches: 0, entries: 0, lastWriteMs: 0, slowestWriteMs: 0 };

  /** `mark` and `log` are what is durable now, in the log and in both slots; for `commit` see `LogEnd`. */
  constructor(
    parts: WriterParts,
    mark: Mark,
    log: VerifiedLog,
    { commit, adopted }: { readonly commit: LogIndex; readonly adopted: Adopted | null },
  ) {
    this.#parts = parts;
    this.#mark = mark;
    this.#markBytes = encodeMark(mark);
    this.#log = new LogEnd(mark, log, commit);
    this.#adopted = adopted;
  }

  get stats(): WriterStats {
    const oldest = this.#inFlight[0] ?? this.#queue[0];
    return {
      ...this.#counts,
      outstanding: oldest === undefined ? null : { kind: oldest.kind, sinceMs: oldest.handedInAt },
      compactingSinceMs: this.#compactingSinceMs,
    };
  }

  append({ hardState, entries, snapshot = null }: AppendWrite): Promise<void> {
    const { snapshots } = this.#parts;
    return this.#handIn({
      kind: snapshot === null ? "append" : "install",
      prepare: snapshot === null ? null : async () => void (await snapshots.write(snapshot, "received")),
      isEmpty: hardState === null && entries.length === 0 && snapshot === null,
      entries,
      take: () => {
        const removed = snapshot === null ? [] : this.#log.takeSnapshot(snapshot);
        const changes = this.#log.takeEntries(entries);
        this.#log.takeHardState(hardState);
        return [...removed, ...changes];
      },
    });
  }

  adopt(adopted: Adopted): Promise<void> {
    const before = this.#adopted;
    const same = before !== null && isSameAdoption(before, adopted);
    return this.#handIn({
      kind: "adopt",
      prepare: same ? null : () => this.#parts.writeAdopted(adopted),
      isEmpty: same,
      entries: [],
      take: () => {
        assert(adopted.node !== NO_NODE, "node 0 is nobody and cannot be adopted");
        assert(same || before === null || adopted.node > before.node, () => {
          return `this disk is node ${before?.node} of ${before?.bootstrap.join() || "none"} and cannot become node ${adopted.node}`;
        });
        this.#adopted = adopted;
        this.#log.takeNode(adopted.node);
        return [];
      },
    });
  }

  compact(snapshot: StateSnapshot, keepFrom: LogIndex): Promise<LogIndex> {
    const compacted = this.#compactions.then(async () => {
      this.#compactingSinceMs = performance.now();
      try {
        return await this.#compact(snapshot, keepFrom);
      } finally {
        this.#compactingSinceMs = null;
      }
    });
    this.#compactions = compacted.catch(() => undefined);
    return compacted;
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
    await this.#compactions;
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

  /** Puts a write into the queue. `take` brings it into the log as handed in. */
  #handIn(write: {
    readonly kind: PendingKind;
    readonly prepare: Pending["prepare"];
    readonly isEmpty: boolean;
    readonly entries: readonly Entry[];
    readonly take: () => LogChange[];
  }): Promise<void> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    return new Promise((resolve, reject) => {
      const { kind, prepare, isEmpty, entries, take } = write;
      const before = this.#log.state;
      const changes = this.#orRefuse(take);
      const onlyCommit = prepare === null && changes.length === 0 && isSameButCommit(before, this.#log.state);
      this.#queue.push({
        kind,
        prepare,
        changes,
        after: this.#log.state,
        isEmpty: isEmpty || onlyCommit,
        entryCount: entries.length,
        bytes: entries.reduce((sum, entry) => sum + entry.data.length, 0),
        handedInAt: performance.now(),
        resolve,
        reject,
      });
      this.#start();
    });
  }

  /** A broken invariant leaves the log as handed in half done, so nothing may follow it. */
  #orRefuse<T>(take: () => T): T {
    try {
      return take();
    } catch (thrown) {
      const where = this.#parts.directory;
      const why = `the storage in ${where} is closed: a bug of this program broke an invariant of the log; please report it`;
      this.#refusal ??= new StorageError("STORAGE_CLOSED", why, thrown);
      throw thrown;
    }
  }

  /** See `Storage.compact`. An install may be handed in at each `await`. */
  async #compact(snapshot: StateSnapshot, keepFrom: LogIndex): Promise<LogIndex> {
    // What it is taken of must be durable before it: judge.ts takes one ahead of the log for a rolled back
    // disk.
    await this.#durableBase();
    const { base, last } = this.#log.state;
    if (snapshot.index < base.index) return await this.#durableBase();
    this.#orRefuse(() => {
      const { index, term } = snapshot;
      assert(keepFrom >= 1 && keepFrom <= index + 1, () => {
        return `a snapshot at ${index} does not stand for all before ${keepFrom}`;
      });
      assert(this.#log.termAt(index) === term, () => {
        return `the snapshot at ${index} is of term ${term}, the log up to ${last.index} has term ${this.#log.termAt(index)} there`;
      });
    });
    // An install that comes meanwhile waits for no file that it makes worthless.
    const isWanted = (): boolean => this.#refusal === null && snapshot.index >= this.#log.state.base.index;
    const isWritten = await this.#orFail("write a snapshot", () => {
      return this.#parts.snapshots.write(snapshot, "taken", isWanted);
    });
    if (!isWritten) return await this.#durableBase();
    while (keepFrom - 1 > this.#log.state.base.index) {
      await this.#handIn({
        kind: "cut",
        prepare: null,
        isEmpty: false,
        entries: [],
        take: () => this.#log.cut(keepFrom, CUT_ENTRIES),
      });
    }
    await this.#prune();
    return await this.#durableBase();
  }

  /** The base when all that was handed in is durable: an install on its way may have moved it. */
  async #durableBase(): Promise<LogIndex> {
    await this.append({ hardState: null, entries: [] });
    return this.#mark.base.index;
  }

  /** Removes the snapshots that are not needed any more. */
  async #prune(): Promise<void> {
    await this.#orFail("remove an old snapshot", () => this.#parts.snapshots.prune(this.#mark.base.index));
  }

  /** Does something on the disk beside the writer; a failure is final there too. */
  async #orFail<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (this.#refusal === null) this.#fail(storageError(thrown, doing, this.#parts.directory));
      throw this.#refusal ?? thrown;
    }
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
      if (group[0]?.kind === "install") await this.#prune().catch(() => undefined);
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
      if (count > 0 && (bytes > GROUP_BYTES || pending.prepare !== null)) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #writeGroup(group: readonly Pending[]): Promise<void> {
    const after = group.at(-1)?.after;
    if (after === undefined || group.every((pending) => pending.isEmpty)) return;
    // Durable before the batch that relies on it.
    await group[0]?.prepare?.();
    const startedAt = performance.now();
    await this.#writeMarked(
      group.flatMap((pending) => pending.changes),
      after,
    );
    const tookMs = performance.now() - startedAt;
    this.#counts.batches++;
    for (const pending of group) {
      if (!pending.isEmpty) this.#counts.writes++;
      this.#counts.entries += pending.entryCount;
    }
    this.#counts.lastWriteMs = tookMs;
    this.#counts.slowestWriteMs = Math.max(this.#counts.slowestWriteMs, tookMs);
  }

  /** Makes `changes` durable, with a mark that says what the log is after them. */
  async #writeMarked(changes: readonly LogChange[], after: MarkedState): Promise<void> {
    const mark: Mark = {
      ...this.#mark,
      ...after,
      sequence: this.#mark.sequence + 1,
      previousDigest: digestOf(this.#markBytes),
    };
    const bytes = encodeMark(mark);
    // The log first and the mirror second: judge.ts proves why, and why nothing may be acknowledged in
    // between.
    await this.#parts.store.write(changes, bytes);
    await this.#parts.mirror.write(bytes);
    this.#mark = mark;
    this.#markBytes = bytes;
  }

  async #settleThenDrain(): Promise<void> {
    await this.#settle();
    // While closing, too: what was handed in before is finished. After a failure nothing waits any more.
    if (this.#queue.length > 0) await this.#drain();
    else this.#work = null;
  }

  /** Writes a commit index that no write took along, and the newest mark to the slot that does not have it. */
  async #settle(): Promise<void> {
    try {
      const { state } = this.#log;
      if (this.#mark.hardState.commit < state.hardState.commit) await this.#writeMarked([], state);
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

/** True when a write changed nothing of the marked state, or its commit index alone. */
function isSameButCommit(before: MarkedState, after: MarkedState): boolean {
  const [a, b] = [before.hardState, after.hardState];
  const { base, last, recovering, node } = after;
  const same = base === before.base && last === before.last && node === before.node;
  return same && recovering === before.recovering && a.term === b.term && a.vote === b.vote;
}
