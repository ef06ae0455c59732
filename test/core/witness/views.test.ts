/**
 * Views of the witnesses: old and doubled ones are dropped, silence is noticed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, witnessId } from "../../../src/core/base/ids.js";
import type { Opinion, View } from "../../../src/core/model/observation.js";
import { EMPTY_STATE, type State, type WitnessRecord } from "../../../src/core/model/state.js";
import { Views } from "../../../src/core/witness/views.js";

const W = witnessId("w-a");
const TARGET = "shop/a/web";
const EVIDENCE = { kind: "ok", text: "", count: 1, falseAlarm: null, rttMs: 1, loss: null } as const;

function view(seq: number, opinion: Opinion = "up", life = 1, abstaining = false): View {
  return {
    witness: W,
    life,
    seq,
    abstaining,
    observations: [{ target: TARGET, opinion, evidence: EVIDENCE }],
  };
}

function state(opinion: Opinion, change: Partial<WitnessRecord> = {}): State {
  const seen = { opinion, sinceMs: 0, sinceWallMs: 0, index: logIndex(1), evidence: EVIDENCE };
  const record = {
    witness: W,
    stale: false,
    abstaining: false,
    sinceMs: 0,
    observations: { [TARGET]: seen },
    ...change,
  };
  return { ...EMPTY_STATE, witnesses: { [W]: record } };
}

const at = (monoMs: number) => ({
  monoMs,
  sinceMonoMs: 1000,
  viewTimeoutMs: 500,
  targets: new Set([TARGET]),
});

test("a view that was overtaken, or is of a former life, is dropped", () => {
  const views = new Views();
  const steps: readonly (readonly [View, boolean])[] = [
    [view(2), true],
    [view(2), false],
    [view(1), false],
    [view(3), true],
    [view(1, "up", 2), true],
    [view(9, "up", 1), false],
    [view(2, "up", 2), true],
  ];
  for (const [sent, taken] of steps) assert.equal(views.onView(sent, 0), taken, JSON.stringify(sent));
});

test("what a witness sees is written when it differs, and a witness that fell silent is stale, not sooner than the timeout", () => {
  const up = state("up");
  const views = new Views();
  assert.equal(views.duty(W, up, at(1400)), null, "a new leader waits");
  assert.deepEqual(views.duty(W, up, at(1501)), { kind: "stale", witness: W });
  assert.equal(views.duty(W, state("up", { stale: true }), at(1501)), null, "and says it once");
  views.onView(view(1, "down"), 2000);
  const command = views.duty(W, up, at(2000));
  assert.deepEqual(command?.kind === "observe" && command.observations.map(({ opinion }) => opinion), [
    "down",
  ]);
  assert.equal(views.duty(W, state("down"), at(2000)), null, "nothing new");
  assert.equal(views.duty(W, state("down", { stale: true }), at(2000))?.kind, "observe", "heard again");
  assert.equal(views.duty(W, state("down", { abstaining: true }), at(2000))?.kind, "observe");
  assert.equal(
    views.duty(W, up, { ...at(2000), targets: new Set() }),
    null,
    "a target that no document names",
  );
  assert.deepEqual(views.duty(W, up, at(2501)), { kind: "stale", witness: W });
  assert.equal(views.duty(witnessId("w-x"), up, at(2000)), null, "a witness that no document names");
});

test("a leader believes what was seen since it listens, and no opinion that its witness has given up", () => {
  const cases: readonly (readonly [string, View | null, number, Partial<WitnessRecord>, unknown])[] = [
    ["heard before it listened", view(1), 999, {}, { stale: true, opinion: "up", isComplete: false }],
    ["not heard at all", null, 0, {}, { stale: true, opinion: "up", isComplete: false }],
    ["heard since", view(1), 1000, {}, { stale: false, opinion: "up", isComplete: true }],
    ["changed its mind", view(1, "down"), 1000, {}, { stale: false, opinion: "unknown", isComplete: false }],
    ["stale in the log", null, 0, { stale: true }, { stale: true, opinion: "up", isComplete: true }],
  ];
  for (const [name, sent, heardMs, record, expected] of cases) {
    const views = new Views();
    if (sent !== null) views.onView(sent, heardMs);
    const { witnesses, isComplete } = views.believed(state("up", record).witnesses, 1000);
    const { stale, observations } = witnesses[W] ?? {};
    assert.deepEqual({ stale, opinion: observations?.[TARGET]?.opinion, isComplete }, expected, name);
  }
  const views = new Views();
  views.onView(view(1, "up", 1, true), 1000);
  assert.equal(views.believed(state("up").witnesses, 1000).witnesses[W]?.abstaining, true);
});
