/**
 * What survived? The judgement on the mirror and the log that were found on start, as a pure function.
 *
 * How marks are written. Write n (a group of appends) is: (1) one LevelDB batch with the entries, the
 * deletions and mark n, synced; (2) mark n into the older slot of the mirror, synced; (3) the
 * acknowledgement. n+1 does not begin before (3). Call the newest mark in the mirror m and the mark in
 * LevelDB l. "Whole" means: each entry passes its checksum, the chain is unbroken from the base, there is
 * nothing behind its end, and its end is what the mark names.
 *
 * Claims, with their proofs.
 *  1. A crash alone is never called a loss. By the order above l = m or l = m + 1 after a crash, and a batch
 *     is in LevelDB's log as one record. l = m + 1 was not acknowledged, and Raft lets it survive. It is told
 *     from another history by its `previousDigest`, the digest of mark m; lengths are never compared, so a
 *     truncated, shorter log is as good as a longer one.
 *  2. A loss in LevelDB is never taken for health. What is acknowledged was in m. A log that is whole under l
 *     = m, or under the direct successor of m, holds all of it, for the mark pins each byte by the hash of
 *     the last entry. Lost batches, old versions, flipped bits and swapped values leave a log that is not
 *     whole, or a mark l < m: recovering.
 *  3. Recovering claims no less than what was acknowledged: term and vote come from m, and ackedIndex is the
 *     end of the log in m (or the one of a recovery that had not finished). `commit` comes from l only if the
 *     log is whole under l: it was true then and a commit stays true. Of a damaged log the verified prefix is
 *     kept, but it may be an older version (a lost overwrite), so it counts as uncommitted. That is safe: it
 *     was once in this witness's log, and the log matching property holds for it.
 *  4. One slot that cannot be read hides nothing while the log is whole and l = s or s + 1 for the slot s
 *     that is left, with one exception: slot s + 1 and batch s + 1 both lost within the moment before the
 *     mirror settled (mirror.ts). If the log has a fault as well, the bound of claim 3 is unknown: refused.
 *     So is l > m + 1: the mirror forgot, so it proves nothing.
 *  5. A log with a base is nothing without a snapshot that stands for its beginning. That one was durable
 *     before the log was cut or replaced (group-writer.ts), and every byte of it is verified
 *     (snapshot-codec.ts): if it is not there, the disk lost it. Whatever a snapshot of this cluster holds
 *     was committed, so any is true, and of two the newer is the better. A sound log takes the newest whose
 *     place is its base or in it. One that was received and is ahead of the log or beside it is of an install
 *     that a crash cut off before its write: the log without it is whole, and it is dropped. One that was
 *     taken here was taken of entries that were durable: log and mirror agree on a past that is not the
 *     newest, so both were put back, and nobody knows what was acknowledged: refused. If none covers the
 *     base, acknowledged state is lost: recovering, like a lost log. A recovering log that does not hold the
 *     place of the newest snapshot is replaced by it: what it held beyond the loss was not known to be
 *     committed. If the snapshot covers all that was acknowledged, nothing is lost, for term and vote come
 *     from m as ever: the recovery ends where it begins.
 *  6. A recovery survives a crash. It is written as the successor of m with `recovering` set, into a new
 *     LevelDB that then takes the old one's place, then to the mirror. A crash before, between or after
 *     leaves: the same damage again; no LevelDB, which is recovering too; or claim 1. `recovering` is copied
 *     into every later mark until the commit index covers it.
 * Not seen: a whole directory put back from an older copy, or a disk that lies about all (docs/adr/0006 says
 * what protects then; docs/operations.md says not to restore a witness from a backup).
 */
import { logIndex, NO_NODE, term } from "../../core/base/ids.js";
import type { Entry, HardState } from "../../core/raft/types.js";
import { equalBytes } from "./bytes.js";
import { decodeEntry, decodeEntryKey, hashEntry, hashPlace, NO_HASH } from "./entry-codec.js";
import { checkIdentity, type DiskIdentity, decodeIdentity } from "./identity.js";
import type { RawLog } from "./log-store.js";
import { decodeMark, digestOf, encodeMark, type Mark, type Place, type Position } from "./mark.js";
import type { Slot } from "./mirror.js";
import type { SnapshotPlace } from "./snapshot-files.js";
import { StorageError } from "./storage-error.js";

/** What was found. */
export interface Evidence {
  readonly identity: DiskIdentity;
  readonly slots: readonly [Uint8Array | null, Uint8Array | null];
  /** Null with the reason in `logProblem` when LevelDB does not open. */
  readonly log: RawLog | null;
  readonly logProblem: string | null;
  /** The snapshots of this disk that are whole, newest first. */
  readonly snapshots: readonly SnapshotPlace[];
}

/** The place before the first entry of all. */
export const NOWHERE: Position = { index: logIndex(0), term: term(0), hash: NO_HASH };

/** Entries that were verified, and for each its hash in the chain. */
export interface VerifiedLog {
  readonly entries: readonly Entry[];
  readonly hashes: readonly Uint8Array[];
}

/**
 * `sound`: carry on under `mark`. `recovering`: `mark` is the one to write first, over a log of exactly
 * `log`.
 */
export type Judgement = {
  readonly kind: "sound" | "recovering";
  readonly mark: Mark;
  readonly log: VerifiedLog;
  /**
   * The snapshot to start from: its index is from the base to the end of the log. Null: from the empty state.
   */
  readonly snapshot: Place | null;
  /** The slot that holds the newest mark, to be overwritten last. */
  readonly newest: Slot;
  /** For `recovering` what was lost; for `sound` what was repaired, or null. */
  readonly reason: string | null;
};

/** Judges; throws a `StorageError` for a directory that must not be used at all. */
export function judge(evidence: Evidence): Judgement {
  const { mirror, newest, slotProblem } = readMirror(evidence);
  const found = readLog(evidence, mirror);
  const gap = found.kind === "whole" ? found.mark.sequence - mirror.sequence : null;
  let isKin = false;
  if (found.kind === "whole") {
    const digest = digestOf(encodeMark(mirror));
    const same = gap === 0 && equalBytes(digestOf(encodeMark(found.mark)), digest);
    const successor = gap === 1 && equalBytes(found.mark.previousDigest, digest);
    isKin = same || successor;
    if (isKin) {
      const { mark, log } = found;
      refuseRolledBack(evidence.snapshots, mark, log);
      const snapshot = evidence.snapshots.find((place) => isOnPath(place, mark.base, log)) ?? null;
      if (snapshot !== null || mark.base.index === 0)
        return { kind: "sound", mark, log, snapshot, newest, reason: slotProblem };
    }
    if (gap !== null && gap > 1) {
      throw corrupt(
        `the mirror of the hard state is ${gap} writes behind the log (${mirror.sequence}, ${found.mark.sequence}), so it lost ` +
          "acknowledged writes and cannot vouch for the log",
      );
    }
  }
  const loss =
    found.kind === "damaged"
      ? found.reason
      : gap !== null && gap < 0
        ? `LevelDB lost acknowledged writes: its newest is ${found.mark.sequence}, the mirror's ${mirror.sequence}`
        : isKin
          ? `the log begins after ${found.mark.base.index}, and no whole snapshot stands for what came before`
          : `LevelDB and the mirror are of different histories (writes ${found.mark.sequence} and ${mirror.sequence})`;
  if (slotProblem !== null)
    throw corrupt(`${loss}; and ${slotProblem}, so what was acknowledged cannot be told`);
  const start = startOf(found, evidence.snapshots[0] ?? null);
  const mark = recoveryMark(mirror, found, start);
  return { kind: "recovering", mark, log: start.log, snapshot: start.snapshot, newest, reason: loss };
}

/** A snapshot that was taken here of a log that this one never was: see claim 5. */
function refuseRolledBack(snapshots: readonly SnapshotPlace[], { base, last }: Mark, log: VerifiedLog): void {
  const ahead = snapshots.find(
    (place) => place.origin === "taken" && place.index >= base.index && !isOnPath(place, base, log),
  );
  if (ahead === undefined) return;
  throw corrupt(
    `this witness took a snapshot at ${ahead.index} of term ${ahead.term}, and its log, which ends at ${last.index}, never ` +
      "came there: an older copy of a part of the data directory was put back",
  );
}

/** True if `place` is the base or an entry of the log. */
function isOnPath(place: Place, base: Position, log: VerifiedLog): boolean {
  const at = place.index === base.index ? base : log.entries[place.index - base.index - 1];
  return at !== undefined && at.term === place.term && place.index >= base.index;
}

/** What a recovery has to begin with. */
interface Start {
  readonly base: Position;
  readonly log: VerifiedLog;
  readonly snapshot: Place | null;
}

/**
 * The verified log if a snapshot or the beginning of all carries it; else the snapshot alone: see claim 5.
 */
function startOf(found: Found, newest: Place | null): Start {
  const base = found.kind === "whole" ? found.mark.base : found.base;
  const { log } = found;
  if (newest !== null && isOnPath(newest, base, log)) return { base, log, snapshot: newest };
  const nothing: VerifiedLog = { entries: [], hashes: [] };
  if (newest !== null) {
    const { index, term: inTerm } = newest;
    return { base: { index, term: inTerm, hash: hashPlace(index, inTerm) }, log: nothing, snapshot: newest };
  }
  return base.index === 0 ? { base, log, snapshot: null } : { base: NOWHERE, log: nothing, snapshot: null };
}

type Found =
  | { readonly kind: "whole"; readonly mark: Mark; readonly log: VerifiedLog }
  | { readonly kind: "damaged"; readonly reason: string; readonly base: Position; readonly log: VerifiedLog };

function readMirror(evidence: Evidence): {
  readonly mirror: Mark;
  readonly newest: Slot;
  readonly slotProblem: string | null;
} {
  const [a, b] = evidence.slots.map((bytes) => (bytes === null ? null : decodeMark(bytes)));
  for (const mark of [a, b]) {
    if (mark && mark.diskId !== evidence.identity.diskId) {
      throw corrupt(
        `the mirror of the hard state is of disk ${mark.diskId}, not ${evidence.identity.diskId}`,
      );
    }
  }
  const adopted = evidence.identity.adopted?.node ?? NO_NODE;
  for (const mark of [a, b]) {
    // The identity is written first: a crash may have come before the first mark of a later node.
    if (mark && mark.node > adopted) {
      throw corrupt(`the identity file says node ${adopted}, but the log was written by node ${mark.node}`);
    }
  }
  if (a && b) {
    if (a.sequence === b.sequence && !equalBytes(encodeMark(a), encodeMark(b))) {
      throw corrupt(`both slots of the mirror claim to be write ${a.sequence}, and they differ`);
    }
    return a.sequence >= b.sequence
      ? { mirror: a, newest: 0, slotProblem: null }
      : { mirror: b, newest: 1, slotProblem: null };
  }
  if (a) return { mirror: a, newest: 0, slotProblem: "slot b of the mirror is missing or damaged" };
  if (b) return { mirror: b, newest: 1, slotProblem: "slot a of the mirror is missing or damaged" };
  throw corrupt(
    "both slots of the mirror of the hard state are missing or damaged, nothing vouches for the log",
  );
}

function readLog(evidence: Evidence, mirror: Mark): Found {
  const { log: raw, identity } = evidence;
  const nothing: VerifiedLog = { entries: [], hashes: [] };
  if (raw === null) {
    return {
      kind: "damaged",
      reason: evidence.logProblem ?? "no LevelDB",
      base: mirror.base,
      log: nothing,
    };
  }
  const copy = raw.identity === null ? null : decodeIdentity(raw.identity);
  if (copy !== null && typeof copy === "object") {
    checkIdentity(copy, identity, "the LevelDB in the data directory");
    if (copy.diskId !== identity.diskId) {
      throw corrupt(`LevelDB is of disk ${copy.diskId}, the identity file says ${identity.diskId}`);
    }
  }
  const mark = raw.mark === null ? null : decodeMark(raw.mark);
  const base = mark?.base ?? mirror.base;
  const { log, problem } = verify(raw, base);
  const end = log.hashes.at(-1) ?? base.hash;
  const last = log.entries.at(-1)?.index ?? base.index;
  const reason =
    problem ??
    (mark === null
      ? "LevelDB holds no readable mark"
      : mark.diskId !== identity.diskId
        ? `the mark in LevelDB is of disk ${mark.diskId}`
        : copy === null || typeof copy === "number"
          ? "the identity in LevelDB is missing or damaged"
          : last !== mark.last.index || !equalBytes(end, mark.last.hash)
            ? `the log ends at ${last}, its mark says ${mark.last.index} with another hash or index`
            : null);
  if (reason === null && mark !== null) return { kind: "whole", mark, log };
  return { kind: "damaged", reason: `the log in LevelDB is damaged: ${reason}`, base, log };
}

/** The longest prefix of the rows that is an unbroken chain from `base`, and why it is not longer. */
function verify(raw: RawLog, base: Position): { readonly log: VerifiedLog; readonly problem: string | null } {
  const entries: Entry[] = [];
  const hashes: Uint8Array[] = [];
  const ended = (problem: string | null) => ({ log: { entries, hashes }, problem: problem ?? raw.problem });
  let previous = base.hash;
  let expected = base.index + 1;
  let lastTerm: number = base.term;
  for (const [key, value] of raw.rows) {
    const index = decodeEntryKey(key);
    if (index !== expected) return ended(`entry ${expected} is missing before ${index ?? "an unknown key"}`);
    const read = decodeEntry(key, value, previous);
    if ("problem" in read) return ended(read.problem);
    if (read.entry.term < lastTerm) return ended(`the term falls to ${read.entry.term} at ${expected}`);
    previous = hashEntry(read.entry, previous);
    entries.push(read.entry);
    hashes.push(previous);
    lastTerm = read.entry.term;
    expected++;
  }
  return ended(null);
}

/** The successor of the mirror's mark for what is left: see claims 3 and 5. */
function recoveryMark(mirror: Mark, found: Found, { base, log, snapshot }: Start): Mark {
  const whole = found.kind === "whole" ? found.mark : null;
  const lastEntry = log.entries.at(-1);
  const last: Position =
    lastEntry === undefined
      ? base
      : { index: lastEntry.index, term: lastEntry.term, hash: log.hashes.at(-1) ?? base.hash };
  const newestTerm = term(Math.max(mirror.hardState.term, whole?.hardState.term ?? 0, last.term));
  const voters: readonly HardState[] =
    whole === null ? [mirror.hardState] : [mirror.hardState, whole.hardState];
  const vote = voters.find((state) => state.term === newestTerm && state.vote !== NO_NODE)?.vote ?? NO_NODE;
  // The commit of a whole log speaks of that log: of what is left of it here, or of a snapshot that has it
  // all.
  const known = Math.min(whole?.hardState.commit ?? 0, last.index);
  const commit = logIndex(Math.max(known, base.index, snapshot?.index ?? 0));
  const ackedIndex = logIndex(Math.max(mirror.last.index, mirror.recovering?.ackedIndex ?? 0));
  const ackedTerm = term(Math.max(mirror.hardState.term, mirror.recovering?.term ?? 0));
  return {
    diskId: mirror.diskId,
    sequence: mirror.sequence + 1,
    hardState: { term: newestTerm, vote, commit },
    base,
    last,
    recovering: commit >= ackedIndex ? null : { ackedIndex, term: ackedTerm },
    previousDigest: digestOf(encodeMark(mirror)),
    node: mirror.node,
  };
}

function corrupt(what: string): StorageError {
  return new StorageError(
    "STORAGE_CORRUPT",
    `${what}; this witness could vote twice or forget what it acknowledged, so it does not start: remove its data directory ` +
      "and replace the witness (pointsman members replace ID), or put the whole disk in order",
  );
}
