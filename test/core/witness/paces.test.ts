/** A peer that is slow is not one that is dead, and one that has nothing to write is neither. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, type NodeId, nodeId } from "../../../src/core/base/ids.js";
import type { ProgressStateType, ProgressStatus } from "../../../src/core/raft/types.js";
import { type Pace, Paces } from "../../../src/core/witness/paces.js";

const PEER: NodeId = nodeId(2);
const NOTHING: Pace = { slowMs: null, silentMs: null };

function progress(match: number, state: ProgressStateType = "StateReplicate"): ProgressStatus[] {
  const flow = { paused: false, inflight: 0, inflightFull: false, pendingSnapshot: logIndex(0) };
  const [at, next] = [logIndex(match), logIndex(match + 1)];
  const heard = { recentActive: true, active: true };
  return [{ id: PEER, match: at, next, state, ...heard, ...flow, isLearner: false, recovering: false }];
}

/** Ticks of 100 ms from 0 to 3 s, as `what` says; then the pace. */
function after(what: (paces: Paces, monoMs: number) => void): Pace {
  const paces = new Paces();
  for (let monoMs = 0; monoMs <= 3000; monoMs += 100) what(paces, monoMs);
  return paces.paceOf(PEER, 3000, 1000);
}

test("a peer that answers and acknowledges nothing of what it lacks is slow, not silent", () => {
  const pace = after((paces, monoMs) => {
    paces.onTick(progress(5), logIndex(monoMs < 500 ? 5 : 6), monoMs);
    paces.onHeard(PEER, monoMs);
  });
  assert.deepEqual(pace, { slowMs: 2600, silentMs: null });
});

test("a peer that is not heard of is silent, not slow", () => {
  const pace = after((paces, monoMs) => {
    paces.onTick(progress(5), logIndex(6), monoMs);
    if (monoMs <= 500) paces.onHeard(PEER, monoMs);
  });
  assert.deepEqual(pace, { slowMs: null, silentMs: 2500 });
});

test("nothing is said of a peer that has all, one that is on its way, and one that takes a snapshot", () => {
  const well: ((monoMs: number) => [ProgressStatus[], number])[] = [
    () => [progress(6), 6],
    (monoMs) => [progress(5 + monoMs / 100), 1000],
    () => [progress(5, "StateSnapshot"), 1000],
  ];
  for (const at of well) {
    const pace = after((paces, monoMs) => {
      const [known, last] = at(monoMs);
      paces.onTick(known, logIndex(last), monoMs);
      paces.onHeard(PEER, monoMs);
    });
    assert.deepEqual(pace, NOTHING);
  }
});

test("what a leader did not hear while it stood still itself is not held against its peers", () => {
  const pace = after((paces, monoMs) => {
    if (monoMs === 2500) paces.clear();
    if (monoMs < 200 || monoMs >= 2500) paces.onTick(progress(5), logIndex(6), monoMs);
  });
  assert.deepEqual(pace, NOTHING);
});
