/**
 * The durable log of one witness: entries, hard state, snapshots, and the proof that none of it was lost.
 *
 * LevelDB holds the log, and is not trusted: one flipped bit makes it open without an error, shorter and with
 * an older vote (measured, docs/adr/0006). So every entry carries a checksum and the hash of its
 * predecessor, and a mark of all that was acknowledged stands both in LevelDB and in a mirror beside it.
 * `openStorage` compares them and says one of three things: here is everything; something acknowledged is
 * missing (`recovering`: do not vote, do not acknowledge); or it throws, for a directory that must not be
 * used. The proof is in judge.ts. A snapshot stands for the log before its base, in a file of its own
 * (snapshot-files.ts); nothing is cut before it is durable.
 *
 *   identity.json   cluster, witness, disk, node id    mirror.a, mirror.b   the newest mark, in turn
 *   log/            LevelDB                            lock/                held while a process uses the directory
 *   snapshots/      <index>-<term>.snap, the newest two
 *   log.damaged/, snapshots/damaged.snap    the last that had to be replaced, for the curious; may be removed
 */
import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type LogIndex, logIndex, NO_NODE, type Term, term } from "../../core/base/ids.js";
import type { Entry, HardState } from "../../core/raft/types.js";
import type { Adopted, StateSnapshot } from "../../core/witness/contract.js";
import { encodeEntry, entryKey, HASH_LENGTH } from "./entry-codec.js";
import { ensureDirectory, exists, replaceFile, syncDirectory } from "./files.js";
import { type AppendWrite, GroupWriter, type WriterStats } from "./group-writer.js";
import {
  checkIdentity,
  type DiskIdentity,
  encodeIdentity,
  readIdentity,
  type StorageIdentity,
} from "./identity.js";
import { type Judgement, judge, NOWHERE, type VerifiedLog } from "./judge.js";
import { LogStore, lockDirectory, type OpenedLog, openExisting } from "./log-store.js";
import { decodeMark, encodeMark, type Mark, type Place, type Position } from "./mark.js";
import { Mirror, readSlots, type Slot } from "./mirror.js";
import { SnapshotFiles } from "./snapshot-files.js";
import { StorageError, storageError } from "./storage-error.js";

/** Where, and whose. */
export interface OpenOptions {
  /** Created if only its last part is missing. */
  readonly directory: string;
  readonly identity: StorageIdentity;
}

/** What was read back, every byte of it verified. */
export interface Restored {
  readonly hardState: HardState;
  /** The whole log after `base`, in order and without a gap. */
  readonly entries: readonly Entry[];
  /**
   * The place of the last entry that the log no longer holds; index 0 and term 0 for one that begins with
   * entry 1.
   */
  readonly base: Place;
  /**
   * The newest snapshot on the path of this log, or null for the state before the first entry. Invariant:
   * `base.index <= snapshot.index <= ` the last entry's index or the base, and `hardState.commit` is not
   * below it.
   */
  readonly snapshot: StateSnapshot | null;
  /** Who this disk is to Raft; null until `adopt`. */
  readonly adopted: Adopted | null;
  /** The UUID of this disk, made on the first start: another disk is another member. */
  readonly diskId: string;
  /**
   * Not null: something that this witness had acknowledged is missing, now or since an earlier start. It must
   * neither vote nor acknowledge until a leader's commit reaches `ackedIndex`; `append` of a hard state with
   * that commit ends it on disk too.
   */
  readonly recovering: {
    readonly ackedIndex: LogIndex;
    readonly term: Term;
    readonly reason: string;
  } | null;
  /** True if the directory was created by this call. */
  readonly fresh: boolean;
  /** What was repaired without loss, in words for the operator. */
  readonly notices: readonly string[];
}

/** See `WriterStats`. */
export type StorageStats = WriterStats;

/** The open storage. */
export interface Storage {
  /**
   * Makes a write durable; resolves, in the order of the calls, when it is. `entries` are contiguous and
   * overwrite whatever stands from the index of the first one on. A `snapshot` is one that was received: it
   * replaces the whole log, and `entries` follow it; after a crash the log is the old one or the new one. One
   * write is in flight; what is handed in meanwhile is grouped into the next. Errors: a `StorageError` is
   * final, every later append is refused with it; an `InvariantError` is a bug of the caller.
   */
  append(write: AppendWrite): Promise<void>;
  /**
   * Makes `snapshot`, which was taken of this log, durable, and then lets go of the entries before
   * `keepFrom`. Resolves with the index of the base then. Order: appends go on meanwhile; of two compactions
   * the second waits. A snapshot that one received meanwhile has overtaken changes nothing, and where the log
   * begins at `keepFrom` or later nothing is cut. Errors as for `append`. Invariant: `keepFrom <=
   * snapshot.index + 1`.
   */
  compact(snapshot: StateSnapshot, keepFrom: LogIndex): Promise<LogIndex>;
  /**
   * Makes durable who this disk is to Raft, before any append that is handed in later. The same again changes
   * nothing; a higher node is a disk that was added anew under another one; a lower one is a bug of the caller.
   */
  adopt(adopted: Adopted): Promise<void>;
  readonly stats: StorageStats;
  /** Finishes the appends handed in, then closes the files and gives the lock back. */
  close(): Promise<void>;
}

interface Paths {
  readonly directory: string;
  readonly identity: string;
  readonly log: string;
  readonly newLog: string;
  readonly damagedLog: string;
  readonly lock: string;
  readonly snapshots: string;
  readonly slots: readonly [string, string];
}

/**
 * Opens, or creates, the storage in a directory. Throws a `StorageError` for a directory that must not be
 * used.
 */
export async function openStorage(
  options: OpenOptions,
): Promise<{ readonly storage: Storage; readonly restored: Restored }> {
  const paths = pathsIn(options.directory);
  await ensureDirectory(paths.directory);
  const lock = await lockDirectory(paths.lock);
  const open: { close(): Promise<void> }[] = [lock];
  try {
    let identity = await readIdentity(paths.identity);
    const fresh = identity === null;
    if (identity === null) identity = await create(paths, options.identity);
    checkIdentity(identity, options.identity, paths.directory);

    // Before LevelDB opens: a draft of a snapshot may be what fills the disk.
    const { files: snapshots, notices } = await SnapshotFiles.open(paths.snapshots, identity);
    const slots = await readSlots(paths.slots);
    const found = await openExisting(paths.log);
    if (found.kind === "open") open.push(found.store);
    const judgement = judge({
      identity,
      slots,
      log: found.kind === "open" ? found.raw : null,
      logProblem: found.kind === "open" ? null : found.reason,
      snapshots: snapshots.places,
    });
    const snapshot = judgement.snapshot === null ? null : await snapshots.read(judgement.snapshot);
    const store = await takeStore(paths, identity, found, judgement);
    open.push(store);
    const mirror = await Mirror.open(paths.slots);
    open.push(mirror);
    await mirror.writeBoth(encodeMark(judgement.mark), judgement.newest);
    // What is ahead of the log or beside it was received and never installed; now it is not needed any more.
    const from = judgement.snapshot?.index ?? 0;
    await snapshots.retain((place) => place.index <= from);

    const owner = identity;
    const writeAdopted = (adopted: Adopted): Promise<void> =>
      replaceFile(paths.identity, encodeIdentity({ ...owner, adopted })).catch((thrown: unknown) => {
        throw storageError(thrown, "write the identity file", paths.identity);
      });
    const restored = restoredFrom(judgement, { snapshot, adopted: identity.adopted, fresh, notices });
    const storage = new GroupWriter(
      { directory: paths.directory, store, mirror, snapshots, writeAdopted, lock },
      judgement.mark,
      judgement.log,
      { commit: restored.hardState.commit, adopted: identity.adopted },
    );
    return { storage, restored };
  } catch (thrown) {
    // The error that matters is the one that we have; what cannot be closed ends with the process.
    for (const part of open.reverse()) await part.close().catch(() => undefined);
    throw storageError(thrown, "open the storage", paths.directory);
  }
}

function pathsIn(directory: string): Paths {
  const at = (name: string): string => join(directory, name);
  return {
    directory,
    identity: at("identity.json"),
    log: at("log"),
    newLog: at("log.new"),
    damagedLog: at("log.damaged"),
    lock: at("lock"),
    snapshots: at("snapshots"),
    slots: [at("mirror.a"), at("mirror.b")],
  };
}

/** Makes a new storage with a new disk id, in a directory without an identity file. That file comes last. */
async function create(paths: Paths, wanted: StorageIdentity): Promise<DiskIdentity> {
  await refuseUsed(paths);
  await rm(paths.log, { recursive: true, force: true });
  const identity: DiskIdentity = {
    cluster: wanted.cluster,
    witness: wanted.witness,
    diskId: randomUUID(),
    adopted: null,
  };
  const mark = encodeMark({
    diskId: identity.diskId,
    sequence: 0,
    hardState: { term: term(0), vote: NO_NODE, commit: logIndex(0) },
    base: NOWHERE,
    last: NOWHERE,
    recovering: null,
    previousDigest: new Uint8Array(HASH_LENGTH),
    node: NO_NODE,
  });
  await buildLog(paths.log, identity, mark, NOWHERE, { entries: [], hashes: [] });
  const mirror = await Mirror.open(paths.slots);
  try {
    const first: Slot = 0;
    await mirror.writeBoth(mark, first);
  } finally {
    await mirror.close();
  }
  await syncDirectory(paths.directory);
  await replaceFile(paths.identity, encodeIdentity(identity));
  return identity;
}

/**
 * Refuses a directory that was in use before: the identity file was lost, and a new one would turn a witness
 * that voted into one that never did. What an interrupted creation leaves behind (write 0, or less) is no
 * obstacle.
 */
async function refuseUsed(paths: Paths): Promise<void> {
  const refusal = (what: string): StorageError =>
    new StorageError(
      "STORAGE_CORRUPT",
      `${paths.directory} holds ${what} but no identity.json; put the file back from a copy, or remove the whole directory and ` +
        "add this witness to the cluster as a new member",
    );
  for (const bytes of await readSlots(paths.slots)) {
    const mark = bytes === null ? null : decodeMark(bytes);
    if (mark !== null && mark.sequence > 0) throw refusal(`the mirror of write ${mark.sequence}`);
  }
  if (await SnapshotFiles.areIn(paths.snapshots)) throw refusal("snapshots");
  if (!(await exists(join(paths.log, "CURRENT")))) return;
  const found = await openExisting(paths.log);
  if (found.kind === "unusable") throw refusal(`a LevelDB that does not open (${found.reason})`);
  await found.store.close();
  const mark = found.raw.mark === null ? null : decodeMark(found.raw.mark);
  if (found.raw.rows.length > 0 || (mark?.sequence ?? 0) > 0) throw refusal("a log");
}

/**
 * The LevelDB to go on with: the one found, or for a recovery a new one of the verified entries in its place.
 */
async function takeStore(
  paths: Paths,
  identity: DiskIdentity,
  found: OpenedLog,
  judgement: Judgement,
): Promise<LogStore> {
  await rm(paths.newLog, { recursive: true, force: true });
  if (found.kind === "open") {
    if (judgement.kind === "sound") return found.store;
    await found.store.close();
  }
  // A new LevelDB, not a repaired one: a damaged table would wait for the next compaction, and fail there.
  const { mark, log } = judgement;
  await buildLog(paths.newLog, identity, encodeMark(mark), mark.base, log);
  await rm(paths.damagedLog, { recursive: true, force: true });
  if (await exists(paths.log)) await rename(paths.log, paths.damagedLog);
  await rename(paths.newLog, paths.log);
  await syncDirectory(paths.directory);
  return await LogStore.open(paths.log, false);
}

async function buildLog(
  directory: string,
  identity: DiskIdentity,
  mark: Uint8Array,
  base: Position,
  log: VerifiedLog,
): Promise<void> {
  const store = await LogStore.open(directory, true);
  try {
    const changes = log.entries.map((entry, i) => ({
      kind: "put" as const,
      key: entryKey(entry.index),
      value: encodeEntry(entry, log.hashes[i - 1] ?? base.hash),
    }));
    await store.write(changes, mark, encodeIdentity(identity));
  } finally {
    await store.close();
  }
}

function restoredFrom(
  judgement: Judgement,
  rest: Pick<Restored, "snapshot" | "adopted" | "fresh" | "notices">,
): Restored {
  const { mark, log, kind, reason } = judgement;
  const why =
    kind === "recovering" && reason !== null ? reason : "a recovery from before this start has not finished";
  const repaired =
    reason === null
      ? []
      : kind === "sound"
        ? [`${reason}; it was written anew`]
        : mark.recovering === null
          ? [`${reason}; nothing that was acknowledged is missing, the log was built anew`]
          : [];
  return {
    ...rest,
    // The commit index on the disk may lag behind what is committed; a snapshot is.
    hardState: {
      ...mark.hardState,
      commit: logIndex(Math.max(mark.hardState.commit, rest.snapshot?.index ?? 0)),
    },
    entries: log.entries,
    base: { index: mark.base.index, term: mark.base.term },
    diskId: mark.diskId,
    recovering: recoveringOf(mark, why),
    notices: [...rest.notices, ...repaired],
  };
}

function recoveringOf(mark: Mark, reason: string): Restored["recovering"] {
  if (mark.recovering === null) return null;
  return { ackedIndex: mark.recovering.ackedIndex, term: mark.recovering.term, reason };
}
