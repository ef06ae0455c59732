/** A saved state as the beginning of a new cluster: nothing moves, nothing is used twice, and the records say so. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { epoch, nodeId, term } from "../../../src/core/base/ids.js";
import { rollbackOwed, runningPlan } from "../../../src/core/model/group.js";
import {
  PLACES_LEFT_OUT,
  placeAfter,
  type Restoring,
  restoredState,
} from "../../../src/core/model/restored.js";
import type { GroupState, State } from "../../../src/core/model/state.js";
import { B, W, withPrimary } from "./fixture.js";

function restoring(state: State): Restoring {
  assert.ok(state.config !== null);
  return {
    config: state.config,
    nodes: [nodeId(1), nodeId(2), nodeId(3)],
    nextNode: nodeId(4),
    index: placeAfter(state),
    term: term(state.appliedTerm + 1),
    by: W[0],
    wallMs: 7,
    epochsLeftOut: 1000,
    what: "restored in a test",
  };
}

function shop(state: State): GroupState {
  const group = state.groups["shop"];
  assert.ok(group !== undefined);
  return group;
}

/** The state with a plan of the next epoch to b that stands at its first step. */
function withPlan(status: "running" | "rolled_back"): State {
  const { state } = withPrimary();
  const group = shop(state);
  assert.ok(group.plan !== null);
  const plan = { ...group.plan, kind: "switchover" as const, from: group.ticket.site, to: B };
  const next = { ...plan, epoch: epoch(group.lastEpoch + 1), status, cursor: 0, endedAtMs: null };
  const ticket = { ...group.ticket, status: "revoked" as const };
  return { ...state, groups: { shop: { ...group, ticket, lastEpoch: next.epoch, plan: next } } };
}

for (const status of ["running", "rolled_back"] as const) {
  it(`closes a plan that was ${status} as failed, with the ticket as it stood and the group on hold`, () => {
    const before = withPlan(status);
    const after = restoredState(before, restoring(before));
    const [old, now] = [shop(before), shop(after)];
    assert.deepEqual([runningPlan(now), rollbackOwed(now)], [null, null]);
    assert.deepEqual([now.plan?.status, now.plan?.epoch], ["failed", old.lastEpoch]);
    assert.match(now.plan?.endReason ?? "", /restored in a test/);
    assert.deepEqual(now.ticket, old.ticket);
    assert.equal(now.lastEpoch, old.lastEpoch + 1000);
    assert.equal(now.mode, "hold");
    const told = after.history.filter(({ index }) => index === after.appliedIndex);
    assert.deepEqual(
      told.map(({ kind, seq, epoch: at }) => [kind, seq, at]),
      [
        ["note", 0, null],
        ["plan_failed", 1, old.lastEpoch],
        ["hold", 2, null],
      ],
    );
  });
}

it("stands at a place of its own in the log, with every member unbound and no view of anybody", () => {
  const { state } = withPrimary();
  const after = restoredState(state, restoring(state));
  assert.deepEqual(
    [after.appliedIndex, after.appliedTerm],
    [state.appliedIndex + PLACES_LEFT_OUT, state.appliedTerm + 1],
  );
  assert.deepEqual(
    after.members.map(({ witness, node, disk, role }) => [witness, node, disk, role]),
    W.map((id, at) => [id, at + 1, null, "voter"]),
  );
  assert.ok(
    Object.values(after.witnesses).every(
      ({ stale, observations }) => stale && Object.keys(observations).length === 0,
    ),
  );
  assert.deepEqual(after.sessions, state.sessions);
  assert.deepEqual(restoredState(state, restoring(state)), after, "the same at every witness");
});
