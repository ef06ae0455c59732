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
 *  5. A recovery survives a crash. It is written as the successor of m with `recovering` set, into a new
 *     LevelDB that then takes the old one's place, then to the mirror. A crash before, between or after
 *     leaves: the same damage again; no LevelDB, which is recovering too; or claim 1. `recovering` is copied
 *     into every later mark until the commit index covers it.
 * Not seen: a whole directory put back from an older copy, and a disk that lies about both. The disk id
 * cannot tell either; docs/operations.md says not to restore a witness from a backup.
 */
import { type LogIndex, logIndex, NO_NODE, term } from "../../core/base/ids.js";
import type { Entry, HardState } from "../../core/raft/types.js";
import { equalBytes } from "./bytes.js";
import { decodeEntry, decodeEntryKey, hashEntry } from "./entry-codec.js";
import { checkIdentity, type DiskIdentity, decodeIdentity } from "./identity.js";
import type { RawLog } from "./log-store.js";
import { decodeMark, digestOf, encodeMark, type Mark, type Position } from "./mark.js";
import type { Slot } from "./mirror.js";
import { StorageError } from "./storage-error.js";

/** What was found. */
export interface Evidence {
  readonly identity: DiskIdentity;
  readonly slots: readonly [Uint8Array | null, Uint8Array | null];
  /** Null with the reason in `logProblem` when LevelDB does not open. */
  readonly log: RawLog | null;
  readonly logProblem: string | null;
}

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
  if (found.kind === "whole") {
    const digest = digestOf(encodeMark(mirror));
    const same = gap === 0 && equalBytes(digestOf(encodeMark(found.mark)), digest);
    const successor = gap === 1 && equalBytes(found.mark.previousDigest, digest);
    if (same || successor)
      return { kind: "sound", mark: found.mark, log: found.log, newest, reason: slotProblem };
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
        : `LevelDB and the mirror are of different histories (writes ${found.mark.sequence} and ${mirror.sequence})`;
  if (slotProblem !== null)
    throw corrupt(`${loss}; and ${slotProblem}, so what was acknowledged cannot be told`);
  return { kind: "recovering", mark: recoveryMark(mirror, found), log: found.log, newest, reason: loss };
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

/** The successor of the mirror's mark for what is left: see claim 3. */
function recoveryMark(mirror: Mark, found: Found): Mark {
  const whole = found.kind === "whole" ? found.mark : null;
  const base = found.kind === "whole" ? found.mark.base : found.base;
  const lastEntry = found.log.entries.at(-1);
  const last: Position =
    lastEntry === undefined
      ? base
      : { index: lastEntry.index, term: lastEntry.term, hash: found.log.hashes.at(-1) ?? base.hash };
  const newestTerm = term(Math.max(mirror.hardState.term, whole?.hardState.term ?? 0, last.term));
  const voters: readonly HardState[] =
    whole === null ? [mirror.hardState] : [mirror.hardState, whole.hardState];
  const vote = voters.find((state) => state.term === newestTerm && state.vote !== NO_NODE)?.vote ?? NO_NODE;
  const commit: LogIndex = whole?.hardState.commit ?? base.index;
  return {
    diskId: mirror.diskId,
    sequence: mirror.sequence + 1,
    hardState: { term: newestTerm, vote, commit },
    base,
    last,
    recovering: {
      ackedIndex: logIndex(Math.max(mirror.last.index, mirror.recovering?.ackedIndex ?? 0)),
      term: term(Math.max(mirror.hardState.term, mirror.recovering?.term ?? 0)),
    },
    previousDigest: digestOf(encodeMark(mirror)),
  };
}

function corrupt(what: string): StorageError {
  return new StorageError(
    "STORAGE_CORRUPT",
    `${what}; this witness could vote twice or forget what it acknowledged, so it does not start: remove its data directory ` +
      "and add it to the cluster as a new member, or put the whole disk in order",
  );
}
