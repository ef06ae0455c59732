/**
 * The log of one member, durable and not: what may be appended, overwritten, handed out and forgotten.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../../../src/core/base/assert.js";
import { logIndex, term } from "../../../src/core/base/ids.js";
import { type EntryId, ORIGIN, RaftLog } from "../../../src/core/raft/log.js";
import { entrySize } from "../../../src/core/raft/messages.js";
import type { Entry } from "../../../src/core/raft/types.js";

const entry = (t: number, index: number, size = 1): Entry => ({
  type: "EntryNormal",
  term: term(t),
  index: logIndex(index),
  data: new Uint8Array(size),
});
const id = (t: number, index: number): EntryId => ({ term: term(t), index: logIndex(index) });
/** A log of durable entries with these terms, from index 1. */
const logOf = (
  terms: readonly number[],
  base: EntryId = ORIGIN,
  maxApplyingBytes = Number.POSITIVE_INFINITY,
) => new RaftLog({ base, entries: terms.map((t, i) => entry(t, base.index + i + 1)), maxApplyingBytes });
const terms = (log: RaftLog) =>
  log.entriesFrom(log.firstIndex, Number.POSITIVE_INFINITY).map((e) => Number(e.term));
const append = (log: RaftLog, previous: EntryId, entries: readonly Entry[], commit = 0) =>
  log.maybeAppend(previous, entries, logIndex(commit)).kind;

test("a late, short append does not cut off what was acknowledged after it (willemt #37)", () => {
  const log = logOf([1, 1, 1, 1]);
  assert.equal(append(log, id(1, 1), [entry(1, 2)]), "appended");
  assert.equal(append(log, id(1, 2), []), "appended");
  assert.deepEqual(terms(log), [1, 1, 1, 1]);
});

test("only the conflicting entry and what follows it is replaced", () => {
  const log = logOf([1, 1, 2, 2]);
  assert.equal(append(log, id(1, 1), [entry(1, 2), entry(3, 3)]), "appended");
  assert.deepEqual(terms(log), [1, 1, 3]);
});

test("a commit index counts up to the last entry of the append, since what follows is not verified (etcd b927fa8)", () => {
  const log = logOf([1, 1, 1]);
  append(log, id(1, 1), [entry(1, 2)], 3);
  assert.equal(log.committed, 2);
});

test("a term that the log does not know matches nothing, least of all term 0 (etcd 76f1249)", () => {
  const log = logOf([2, 2], id(1, 10));
  assert.equal(log.term(logIndex(9)), null);
  assert.equal(log.term(logIndex(13)), null);
  assert.equal(append(log, id(0, 9), [entry(2, 10)]), "mismatch");
  assert.equal(append(log, id(0, 13), []), "mismatch");
  assert.equal(append(log, id(1, 10), [entry(2, 11)]), "appended");
});

test("a committed entry is not overwritten, whoever asks", () => {
  const log = logOf([1, 1, 1]);
  log.commitTo(logIndex(2));
  assert.equal(log.committedConflict(id(1, 1), [entry(2, 2)]), 2);
  assert.equal(log.committedConflict(id(2, 2), []), 2, "the place before the entries counts, too");
  assert.equal(log.committedConflict(id(1, 2), [entry(2, 3)]), null, "entry 3 is not committed");
  assert.equal(log.committedConflict(id(0, 0), [entry(1, 1), entry(1, 2)]), null);
  assert.throws(() => log.append([entry(2, 2)]), InvariantError);
});

test("the commit index neither goes back nor past the end", () => {
  const log = logOf([1, 1, 1]);
  log.commitTo(logIndex(2));
  log.commitTo(logIndex(1));
  assert.equal(log.committed, 2);
  assert.throws(() => log.commitTo(logIndex(4)), InvariantError);
});

test("a longer log of an older term is not up to date, a shorter one of a later term is", () => {
  const log = logOf([1, 2, 2]);
  assert.equal(log.isUpToDate(id(1, 9)), false);
  assert.equal(log.isUpToDate(id(2, 2)), false);
  assert.equal(log.isUpToDate(id(2, 3)), true);
  assert.equal(log.isUpToDate(id(3, 1)), true);
});

test("a conflict skips whole terms and stops where the log begins", () => {
  const log = logOf([1, 1, 4, 4, 5]);
  assert.deepEqual(log.findConflictByTerm(logIndex(5), term(4)), id(4, 4));
  assert.deepEqual(log.findConflictByTerm(logIndex(5), term(3)), id(1, 2));
  assert.deepEqual(log.findConflictByTerm(logIndex(2), term(0)), ORIGIN);
  assert.deepEqual(logOf([5], id(5, 10)).findConflictByTerm(logIndex(11), term(1)), id(0, 9));
});

test("a confirmation of an overwritten entry with the same index makes nothing durable (the ABA race)", () => {
  const log = logOf([1]);
  log.append([entry(1, 2), entry(1, 3)]);
  log.acceptUnstable();
  log.append([entry(2, 2)]);
  log.stableTo(id(1, 3));
  log.stableTo(id(1, 2));
  assert.equal(log.hasUnstable, true);
  assert.deepEqual(log.nextUnstable(), [entry(2, 2)], "the new entry must be written");
  log.acceptUnstable();
  assert.deepEqual(log.nextUnstable(), []);
  log.stableTo(id(2, 2));
  assert.equal(log.hasUnstable, false);
  assert.deepEqual(terms(log), [1, 2]);
});

test("overwriting durable entries asks storage to write the new ones, and only an overwritten part is written again", () => {
  const log = logOf([1, 1, 1]);
  log.append([entry(2, 2)]);
  assert.deepEqual(log.nextUnstable(), [entry(2, 2)]);
  assert.deepEqual(terms(log), [1, 2]);
  log.append([entry(2, 3), entry(2, 4)]);
  log.acceptUnstable();
  log.append([entry(3, 4)]);
  assert.deepEqual(log.nextUnstable(), [entry(3, 4)]);
});

test("what was handed out does not change when the log does (etcd 98887d7)", () => {
  const log = logOf([1]);
  log.append([entry(1, 2), entry(1, 3)]);
  const unstable = log.nextUnstable();
  const slice = log.entriesFrom(logIndex(1), Number.POSITIVE_INFINITY);
  log.append([entry(2, 2)]);
  assert.deepEqual(unstable, [entry(1, 2), entry(1, 3)]);
  assert.deepEqual(slice, [entry(1, 1), entry(1, 2), entry(1, 3)]);
});

test("entries that are not durable here are not applied when storage is asynchronous", () => {
  const log = logOf([1]);
  log.append([entry(1, 2)]);
  log.commitTo(logIndex(2));
  assert.deepEqual(log.nextCommitted(false), [entry(1, 1)]);
  assert.deepEqual(log.nextCommitted(true), [entry(1, 1), entry(1, 2)]);
});

test("applying pauses at the byte bound, goes on when applied, and always lets one entry through", () => {
  const size = entrySize(entry(1, 1, 10));
  const log = new RaftLog({
    base: ORIGIN,
    entries: [1, 2, 3].map((index) => entry(1, index, 10)),
    maxApplyingBytes: size - 1,
  });
  log.commitTo(logIndex(3));
  for (const index of [1, 2, 3]) {
    const batch = log.nextCommitted(true);
    assert.deepEqual(
      batch.map((e) => Number(e.index)),
      [index],
    );
    log.acceptApplying(batch, true);
    assert.equal(log.hasNextCommitted(true), false, "one batch at a time");
    log.appliedTo(logIndex(index), size);
  }
  assert.equal(log.applied, 3);
});

test("a restored log with a gap or a falling term is refused", () => {
  const restore = (entries: Entry[]) => new RaftLog({ base: ORIGIN, entries, maxApplyingBytes: 1 });
  assert.throws(() => restore([entry(1, 1), entry(1, 3)]), InvariantError);
  assert.throws(() => restore([entry(2, 1), entry(1, 2)]), InvariantError);
});
