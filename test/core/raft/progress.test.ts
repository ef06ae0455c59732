/**
 * What a leader knows of a follower: probing, replicating, and how far it may run ahead.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex } from "../../../src/core/base/ids.js";
import { Inflights } from "../../../src/core/raft/inflights.js";
import { Progress } from "../../../src/core/raft/progress.js";

const progress = (match: number, next: number, maxInflight = 2) =>
  new Progress({
    match: logIndex(match),
    next: logIndex(next),
    isLearner: false,
    maxInflight,
    maxInflightBytes: 1000,
  });

test("an acknowledgement frees every append up to it, a late one frees nothing", () => {
  const window = new Inflights(3, 1000);
  for (const last of [5, 8, 9]) window.add(logIndex(last), 10);
  assert.equal(window.full, true);
  window.freeUpTo(logIndex(4));
  assert.equal(window.count, 3);
  window.freeUpTo(logIndex(8));
  assert.equal(window.count, 1);
  window.freeUpTo(logIndex(99));
  assert.equal(window.count, 0);
});

test("match never goes back on a late acknowledgement and stays below next", () => {
  const p = progress(5, 6);
  p.becomeReplicate();
  assert.equal(p.maybeUpdate(logIndex(9)), true);
  assert.deepEqual([p.match, p.next], [9, 10]);
  assert.equal(p.maybeUpdate(logIndex(7)), false);
  assert.deepEqual([p.match, p.next], [9, 10]);
});

test("a probe waits for its answer, and only the answer to the last probe moves it", () => {
  const p = progress(0, 10);
  p.sentEntries(1, 0);
  assert.equal(p.paused, true);
  assert.equal(p.maybeDecrease(logIndex(4), logIndex(3)), false, "an answer to an older probe");
  assert.equal(p.maybeDecrease(logIndex(9), logIndex(6)), true);
  assert.deepEqual([p.next, p.paused], [7, false]);
});

test("a rejection never takes next to or below match", () => {
  const p = progress(5, 10);
  assert.equal(p.maybeDecrease(logIndex(9), logIndex(2)), true);
  assert.equal(p.next, 6);
  p.becomeReplicate();
  assert.equal(p.maybeDecrease(logIndex(5), logIndex(0)), false, "what is matched cannot be rejected");
});

test("a full window pauses replication and leaving the state empties it (etcd e419ba5)", () => {
  const p = progress(1, 2);
  p.becomeReplicate();
  p.sentEntries(2, 0);
  assert.equal(p.paused, false);
  p.sentEntries(2, 0);
  assert.deepEqual([p.next, p.inflights.count, p.paused], [6, 2, true]);
  p.becomeProbe();
  assert.deepEqual([p.next, p.inflights.count, p.paused], [2, 0, false]);
});

test("the commit index is sent once and again after a rewind", () => {
  const p = progress(4, 5);
  p.becomeReplicate();
  assert.equal(p.canBumpCommit(logIndex(4)), true);
  p.sentCommit = logIndex(4);
  assert.equal(p.canBumpCommit(logIndex(4)), false);
  p.believeLoss(logIndex(2));
  assert.deepEqual([p.match, p.next, p.state, p.canBumpCommit(logIndex(4))], [0, 3, "StateProbe", false]);
});
