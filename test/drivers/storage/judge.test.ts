/**
 * Losses inside LevelDB that its own files can hardly be made to show on demand, put to the judge as data:
 * batches dropped from the middle while later ones survive. What is left may be a whole chain, of the wrong
 * version.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, NO_NODE, term } from "../../../src/core/base/ids.js";
import type { Entry } from "../../../src/core/raft/types.js";
import { encodeEntry, entryKey, hashEntry, NO_HASH } from "../../../src/drivers/storage/entry-codec.js";
import { type DiskIdentity, encodeIdentity } from "../../../src/drivers/storage/identity.js";
import { type Judgement, judge } from "../../../src/drivers/storage/judge.js";
import type { RawLog } from "../../../src/drivers/storage/log-store.js";
import { digestOf, encodeMark, type Mark, type Position } from "../../../src/drivers/storage/mark.js";
import { entries, entry, hardState, IDENTITY } from "./disk.js";

const DISK: DiskIdentity = { ...IDENTITY, diskId: "6a7e3a0c-7c5b-4a1e-9a53-0d9d0f5f2f11", adopted: null };
const NOWHERE: Position = { index: logIndex(0), term: term(0), hash: NO_HASH };

/** The rows of a log as it is written, and its end. */
function rowsOf(log: readonly Entry[]): { readonly rows: RawLog["rows"]; readonly last: Position } {
  let last = NOWHERE;
  const rows = log.map((each): readonly [Uint8Array, Uint8Array] => {
    const row = [entryKey(each.index), encodeEntry(each, last.hash)] as const;
    last = { index: each.index, term: each.term, hash: hashEntry(each, last.hash) };
    return row;
  });
  return { rows, last };
}

/** A mark at write 7 for a log of `log`, committed up to 8. */
function markFor(log: readonly Entry[]): Mark {
  return {
    diskId: DISK.diskId,
    sequence: 7,
    hardState: hardState(4, 2, 8),
    base: NOWHERE,
    last: rowsOf(log).last,
    recovering: null,
    previousDigest: NO_HASH,
    node: NO_NODE,
  };
}

/** Judges the rows of `found` under a mark for `intended`, which both LevelDB and the mirror hold. */
function judgeRows(found: RawLog["rows"], intended: readonly Entry[]): Judgement {
  const mark = encodeMark(markFor(intended));
  const log: RawLog = { identity: encodeIdentity(DISK), mark, rows: found, problem: null };
  return judge({ identity: DISK, slots: [mark, mark], log, logProblem: null, snapshots: [] });
}

function assertRecovering(judgement: Judgement, kept: readonly Entry[]): void {
  assert.equal(judgement.kind, "recovering");
  assert.deepEqual(judgement.log.entries, kept);
  assert.deepEqual(judgement.mark.hardState, hardState(4, 2, 0), "nothing of it counts as committed");
  assert.equal(judgement.mark.recovering?.ackedIndex, 10);
  assert.deepEqual(judgement.mark.previousDigest, digestOf(encodeMark(markFor(TEN))));
}

const TEN = [...entries(1, 5, 1), ...entries(6, 10, 4)];

test("the log as it was intended is sound", () => {
  const judgement = judgeRows(rowsOf(TEN).rows, TEN);
  assert.equal(judgement.kind, "sound");
  assert.deepEqual(judgement.log.entries, TEN);
});

test("a lost overwrite leaves a whole chain of the older version, and is noticed by the mark alone", () => {
  const older = entries(1, 10, 1);
  assertRecovering(judgeRows(rowsOf(older).rows, TEN), older);
});

test("a lost deletion leaves a longer chain, and is noticed", () => {
  const longer = [...TEN, ...entries(11, 12, 4)];
  assertRecovering(judgeRows(rowsOf(longer).rows, TEN), longer);
});

test("a lost batch in the middle, with newer entries behind it, is noticed at the seam", () => {
  const older = rowsOf(entries(1, 7, 1)).rows;
  const mixed = [...older.slice(0, 7), ...rowsOf(TEN).rows.slice(7)];
  assertRecovering(judgeRows(mixed, TEN), entries(1, 7, 1));
  assertRecovering(judgeRows(rowsOf(TEN).rows.toSpliced(3, 2), TEN), entries(1, 3, 1));
});

test("a value under the key of another entry is noticed", () => {
  const { rows } = rowsOf(TEN);
  const swapped = rows.map(([key], i): readonly [Uint8Array, Uint8Array] => [
    key,
    rows[i === 4 ? 5 : i === 5 ? 4 : i]?.[1] ?? key,
  ]);
  assertRecovering(judgeRows(swapped, TEN), TEN.slice(0, 4));
});

test("a log that begins late, and one that is empty under a mark that says ten, are noticed", () => {
  assertRecovering(judgeRows(rowsOf(TEN).rows.slice(1), TEN), []);
  assertRecovering(judgeRows([], TEN), []);
});

test("entries of a newer term than the mirror's raise the term without a vote", () => {
  // The batch of write 8 got its entries to the disk, its mark rotted: the write was never acknowledged.
  const { rows } = rowsOf([...TEN, entry(11, 6)]);
  const slot = encodeMark(markFor(TEN));
  const log: RawLog = { identity: encodeIdentity(DISK), mark: null, rows, problem: null };
  const { mark, kind } = judge({ identity: DISK, slots: [slot, slot], log, logProblem: null, snapshots: [] });
  assert.deepEqual([kind, mark.hardState], ["recovering", hardState(6, 0, 0)]);
});

test("two slots of one number that differ are refused", () => {
  const [a, b] = [markFor(TEN), { ...markFor(TEN), hardState: hardState(4, 1, 8) }].map(encodeMark);
  assert.ok(a !== undefined && b !== undefined);
  const log: RawLog = { identity: encodeIdentity(DISK), mark: a, rows: rowsOf(TEN).rows, problem: null };
  assert.throws(() => judge({ identity: DISK, slots: [a, b], log, logProblem: null, snapshots: [] }), {
    code: "STORAGE_CORRUPT",
    message: /both slots .* differ/,
  });
});
